import type { Shape } from './swarm.ts'

/** A schedule that once went wrong, and what of. */
export type Regression = { readonly seed: number; readonly shape: Shape; readonly why: string }

const ENDED_PROMISE =
  'a promise that had ended began anew when its voter, whom nobody had asked since, entered the next epoch'

/**
 * A seed stands for the same schedule only until something in the simulator draws differently, so each of these has a
 * directed test beside the code it was about as well. With that fix taken out, they fail.
 */
export const REGRESSIONS: readonly Regression[] = [
  { seed: 5, shape: {}, why: ENDED_PROMISE },
  { seed: 131, shape: {}, why: ENDED_PROMISE },
  { seed: 501_045, shape: {}, why: 'whoever began a change of voters was removed before it was decided' },
]

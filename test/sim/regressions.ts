import type { Shape } from './swarm.ts'

/** A schedule that once went wrong, and what of. */
export type Regression = { readonly seed: number; readonly shape: Shape; readonly why: string }

/**
 * A seed stands for a world only as long as nothing before it in the simulator draws differently: each of these has a
 * directed test beside the code it was about as well.
 */
export const REGRESSIONS: readonly Regression[] = [
  {
    seed: 5,
    shape: {},
    why: 'a promise that had ended began anew when its voter, whom nobody had asked since, entered the next epoch',
  },
  {
    seed: 228,
    shape: {},
    why: 'a disk failed while its process was about to end (harness)',
  },
]

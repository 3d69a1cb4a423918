import type { Shape } from './swarm.ts'

/** A schedule that once went wrong, and what of. */
export type Regression = { readonly seed: number; readonly shape: Shape; readonly why: string }

const ENDED_PROMISE =
  'a promise that had ended began anew when its voter, whom nobody had asked since, entered the next epoch'
const STALLED = 'voters had sealed their epoch for a set whose proposer was removed: none of them could complete it'
const CUT_OFF = 'a voter crashed while it wrote down what it took over with a new epoch, and forgot the end of it'

/**
 * A seed stands for the same schedule only until something in the simulator draws differently, so each of these has a
 * directed test beside the code it was about as well. With that fix taken out, they fail.
 */
export const REGRESSIONS: readonly Regression[] = [
  { seed: 5, shape: {}, why: ENDED_PROMISE },
  { seed: 131, shape: {}, why: ENDED_PROMISE },
  { seed: 501_045, shape: {}, why: 'whoever began a change of voters was removed before it was decided' },
  { seed: 20_006_050, shape: {}, why: STALLED },
  { seed: 20_007_303, shape: {}, why: STALLED },
  { seed: 50_011_109, shape: {}, why: CUT_OFF },
]

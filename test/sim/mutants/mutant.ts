/**
 * One guard of the product taken out. Production code has no switch for it: the text is exchanged while the module is
 * loaded, in a process of its own.
 */
export type Mutant = {
  readonly name: string
  /** The rule that the guard enforces, as SPEC.md numbers it. */
  readonly rule: string
  /** From the root of the repository. */
  readonly file: string
  /** Occurs exactly once in the file, so that a change of the code cannot disarm the mutant in silence. */
  readonly from: string
  readonly to: string
  /** What goes wrong without the guard. */
  readonly why: string
  /** Rules whose violation shows that the mutant was caught, and not that something else broke. */
  readonly expects: readonly string[]
  /** The directed scenario that catches it. */
  readonly scenario?: string
  /** Random schedules of which one has to find it: so many from the first on, or these. */
  readonly seeds?: number | readonly number[]
  /** Plays the schedule of a seed, and answers what was violated. Nothing of the product is loaded before. */
  readonly play: (seed: number) => Promise<readonly string[]>
  /** Part of the fast subset. */
  readonly quick: boolean
}

/** All but how its schedules are played, which is the same for all of one catalogue. */
export type Cut = Omit<Mutant, 'play'>

/** What the mutants of one file of one rule have in common is said once. */
type Common = Pick<Cut, 'file'> & Partial<Cut>
type Own = Pick<Cut, 'name' | 'from' | 'to' | 'why'> & Partial<Cut>

export const mutantsOf = (common: Common, mutants: readonly Own[]): Cut[] =>
  mutants.map((own) => {
    const { rule = '', ...rest } = { ...common, ...own }
    return { quick: false, expects: [rule], rule, ...rest }
  })

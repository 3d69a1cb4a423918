/**
 * One guard of the lease protocol taken out. Production code has no switch for it: the text is exchanged while the
 * module is loaded, in a process of its own.
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
  /** So many random schedules of the simulator find it. */
  readonly seeds?: number
  /** Part of the fast subset. */
  readonly quick: boolean
}

/** What the mutants of one file of one rule have in common is said once. */
type Common = Pick<Mutant, 'file'> & Partial<Mutant>
type Own = Pick<Mutant, 'name' | 'from' | 'to' | 'why'> & Partial<Mutant>

export const mutantsOf = (common: Common, mutants: readonly Own[]): Mutant[] =>
  mutants.map((own) => {
    const { rule = '', ...rest } = { ...common, ...own }
    return { quick: false, expects: [rule], rule, ...rest }
  })

/** What one process found: that of a scenario, or of random schedules, with one guard taken out or with all in place. */
export type Trial = {
  readonly mutant: string | null
  readonly by: string
  /** Whether the file without the guard was loaded at all. */
  readonly isPlanted: boolean
  readonly violations: readonly string[]
  /** Random schedules until the first violation, or all that were tried. */
  readonly seeds: number
  /** What broke in another way than by a violation: no mutant counts as caught by that. */
  readonly crash: string | null
}

export const SEEDS = 'seeds'

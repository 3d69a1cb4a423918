/** Says what a run did that it must never do. */
export type Report = {
  /** Notes a violation unless `isKept`. */
  readonly must: (rule: string, isKept: boolean, otherwise: string) => void
}

/** A small script on the production code that breaks when a guard is missing. */
export type Scenario = {
  readonly id: string
  /** What it shows, in one sentence. */
  readonly says: string
  readonly run: (report: Report) => void | Promise<void>
}

export class Findings implements Report {
  readonly violations: string[] = []

  readonly must: Report['must'] = (rule, isKept, otherwise) => {
    if (!isKept) this.violations.push(`[${rule}] ${otherwise}`)
  }
}

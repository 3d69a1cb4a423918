/** One broken invariant can show a thousand times in a run. */
const KEPT_MAX = 20

/** What a run did that it must never do. */
export class Violations {
  readonly found: string[] = []
  /** Told of each. */
  onAdd: (violation: string) => void = () => undefined

  add(rule: string, what: string): void {
    const violation = `[${rule}] ${what}`
    this.onAdd(violation)
    if (this.found.length < KEPT_MAX) this.found.push(violation)
  }
}

export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return `${error.stack ?? error.message}${error.cause === undefined ? '' : `\nbecause ${describeError(error.cause)}`}`
}

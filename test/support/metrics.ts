import type { Metrics } from '../../node/ports/metrics.ts'

/** Keeps what was counted and observed: `name{labels}` and how much, or how many times. */
export function createCountedMetrics(): Metrics & { counts(): Record<string, number> } {
  const counts = new Map<string, number>()
  const add = (name: string, labels: object, by: number): void => {
    const key = `${name}${JSON.stringify(labels)}`
    if (by > 0) counts.set(key, (counts.get(key) ?? 0) + by)
  }
  return {
    count: (name, labels, by = 1) => add(name, labels, by),
    observe: (name, labels) => add(name, labels, 1),
    onLook: () => () => undefined,
    counts: () => Object.fromEntries(counts),
  }
}

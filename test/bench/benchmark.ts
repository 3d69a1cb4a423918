export type Unit = 'µs' | 'ms' | 'per s' | 'MB/s' | 'MB' | '%'

/** At most (`most`) or at least (`least`) this much: of the ratio to the peer, or of the value itself without a peer. */
export type Goal = { readonly most: number } | { readonly least: number }

/** One row of the table. */
export type Measurement = {
  readonly what: string
  readonly unit: Unit
  readonly rookery: number
  readonly peer?: { readonly name: string; readonly value: number }
  readonly goal?: Goal
}

export type Context = {
  /** Fewer samples: good for seeing that everything works, and for rough ratios. */
  readonly quick: boolean
  /** Undone in reverse order when the benchmark ends, fails or is interrupted. */
  defer(undo: () => unknown): void
  /** Tells that something was not measured, and why. */
  skip(what: string): void
  /** What is going on; not part of the result. */
  say(text: string): void
}

export type Benchmark = (context: Context) => Promise<Measurement[]>

/** Ours divided by the peer's; undefined without a peer. */
export const ratioOf = ({ rookery, peer }: Measurement): number | undefined =>
  peer === undefined ? undefined : rookery / peer.value

/** Undefined where no goal was set. */
export function isMet(measurement: Measurement): boolean | undefined {
  const { goal, rookery } = measurement
  if (goal === undefined) return undefined
  const value = ratioOf(measurement) ?? rookery
  return 'most' in goal ? value <= goal.most : value >= goal.least
}

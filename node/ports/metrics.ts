import type { Cancel } from './clock.ts'
import type { CounterName, HistogramName, Labels, ReadableName } from './metric-catalogue.ts'

export type Sample<N extends ReadableName> = readonly [value: number, labels: Labels<N>]

/** Where parts of the node report what they do. Costs next to nothing, and never fails. */
export interface Metrics {
  count<N extends CounterName>(name: N, labels: Labels<N>, by?: number): void
  observe<N extends HistogramName>(name: N, labels: Labels<N>, seconds: number): void
  /**
   * `read` is asked whenever somebody looks, until it is cancelled. A metric may have several readers. One that fails
   * leaves its samples out.
   */
  onLook<N extends ReadableName>(name: N, read: () => Samples<N> | Promise<Samples<N>>): Cancel
}

type Samples<N extends ReadableName> = Iterable<Sample<N>>

/** What was reported, for those who look. */
export interface MetricsPage {
  readonly contentType: string
  /** In the text format of Prometheus. */
  text(): Promise<string>
}

/** For whoever reports to nobody. */
export const NO_METRICS: Metrics = { count: () => undefined, observe: () => undefined, onLook: () => () => undefined }

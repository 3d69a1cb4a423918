import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Log } from '../ports/log.ts'
import { METRICS, type MetricName } from '../ports/metric-catalogue.ts'
import type { Metrics, MetricsPage } from '../ports/metrics.ts'

/** Readers name at most some hundred members or documents; a scrape must stay small whatever they do. */
const SAMPLES_MAX = 1000

type AnySample = readonly [value: number, labels: Readonly<Record<string, string>>]
type Reader = () => Iterable<AnySample> | Promise<Iterable<AnySample>>
type Instruments = {
  readonly counters: ReadonlyMap<string, Counter>
  readonly histograms: ReadonlyMap<string, Histogram>
}

/** Every metric of the catalogue in a registry of its own, with those without labels at 0. */
export function createPrometheusMetrics(log: Log): Metrics & MetricsPage {
  const registry = new Registry()
  const readers = new Map<MetricName, Set<Reader>>()
  const { counters, histograms } = instruments(registry, { readers, log })
  return {
    count: (name, labels, by = 1) => counters.get(name)?.inc(labels, by),
    observe: (name, labels, seconds) => histograms.get(name)?.observe(labels, seconds),
    onLook(name, read) {
      const ofName = readers.get(name) ?? new Set()
      readers.set(name, ofName.add(read))
      return () => void ofName.delete(read)
    },
    contentType: registry.contentType,
    text: () => registry.metrics(),
  }
}

type Reading = { readonly readers: ReadonlyMap<MetricName, Set<Reader>>; readonly log: Log }

function instruments(registry: Registry, reading: Reading): Instruments {
  const counters = new Map<string, Counter>()
  const histograms = new Map<string, Histogram>()
  for (const [name, metric] of Object.entries(METRICS)) {
    const shared = { name, help: metric.help, labelNames: [...metric.labels], registers: [registry] }
    if (metric.type === 'histogram') {
      histograms.set(name, new Histogram({ ...shared, buckets: [...metric.buckets] }))
    } else if (metric.type === 'counter') {
      counters.set(name, new Counter({ ...shared, collect: collector<Counter>(name, reading, (c) => c.inc.bind(c)) }))
    } else {
      // The registry keeps the gauge; nobody needs to hold it.
      void new Gauge({ ...shared, collect: collector<Gauge>(name, reading, (g) => g.inc.bind(g)) })
    }
  }
  return { counters, histograms }
}

type Instrument = { reset(): void }

/** Several readers may speak of the same labels: what they say is added up. */
function collector<I extends Instrument>(
  name: string,
  { readers, log }: Reading,
  adder: (instrument: I) => (labels: Readonly<Record<string, string>>, value: number) => void,
): (this: I) => Promise<void> {
  return async function collect(this: I) {
    const ofName = readers.get(name as MetricName)
    // A counter without readers is counted up by those who do what it counts.
    if (ofName === undefined) return
    const samples = (await Promise.all([...ofName].map((read) => samplesOf(read, name, log)))).flat()
    this.reset()
    const add = adder(this)
    for (const [value, labels] of samples.slice(0, SAMPLES_MAX)) if (Number.isFinite(value)) add(labels, value)
  }
}

async function samplesOf(read: Reader, name: string, log: Log): Promise<readonly AnySample[]> {
  try {
    return [...(await read())]
  } catch (err) {
    log.debug({ err, metric: name }, 'a metric could not be read')
    return []
  }
}

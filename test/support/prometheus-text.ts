export type Scraped = {
  /** By name, in order. */
  readonly families: ReadonlyMap<string, { readonly type: string; readonly help: string }>
  /** The value of the one sample with this name and these labels (others may be there); undefined without one. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined
  /** Values by one label. */
  by(name: string, label: string): Record<string, number>
}

type Sample = { readonly name: string; readonly labels: Record<string, string>; readonly value: number }

const FAMILY = /^# (HELP|TYPE) ([a-z_]+) (.+)$/
const SAMPLE = /^([a-z_]+)(?:\{(.*)\})? (-?[0-9.e+-]+|[+-]Inf|NaN)$/
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"(?:,|$)/g

/** Reads the text format of Prometheus, strictly. @throws for a line that is not of it */
export function parseMetrics(text: string): Scraped {
  const families = new Map<string, { type: string; help: string }>()
  const samples: Sample[] = []
  for (const line of text.split('\n').filter((line) => line !== '')) {
    const [, kind, family = '', what = ''] = FAMILY.exec(line) ?? []
    if (kind !== undefined) {
      const known = families.get(family) ?? { type: '', help: '' }
      families.set(family, kind === 'TYPE' ? { ...known, type: what } : { ...known, help: what })
      continue
    }
    samples.push(parseSample(line))
  }
  const find = (name: string, labels: Readonly<Record<string, string>>): Sample | undefined =>
    samples.find((s) => s.name === name && Object.entries(labels).every(([key, value]) => s.labels[key] === value))
  return {
    families,
    value: (name, labels = {}) => find(name, labels)?.value,
    by: (name, label) =>
      Object.fromEntries(
        samples.filter((s) => s.name === name).map(({ labels, value }) => [labels[label] ?? '', value]),
      ),
  }
}

function parseSample(line: string): Sample {
  const [, name, inner = '', value] = SAMPLE.exec(line) ?? []
  if (name === undefined) throw new Error(`not a line of the text format: ${line}`)
  const labels = [...inner.matchAll(LABEL)]
  if (labels.map(([all]) => all).join('') !== inner) throw new Error(`not labels: ${inner}`)
  return { name, labels: Object.fromEntries(labels.map(([, key, text]) => [key, text])), value: Number(value) }
}

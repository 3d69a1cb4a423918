/** What every simulator counts. */
export type CommonName =
  | 'schedules'
  | 'simulatedMs'
  | 'cpuMs'
  | 'events'
  | 'framesSent'
  | 'framesDropped'
  | 'framesDuplicated'
  | 'framesLate'
  | 'suspends'
  | 'partitions'
  | 'oneWayCuts'
  | 'resets'
  | 'rateChanges'

/** In the order in which they are printed. */
export type Counts = Record<CommonName, number> & Record<string, number>

/** What has to happen somewhere in a run that is large enough; a run without it has proved nothing about it. */
export type Musts = { readonly names: readonly string[]; readonly fromSchedules: number }

/** Counted as a maximum over schedules instead of a sum. */
const PEAK = /(Max|Most)$/

export const countsOf = <Name extends string>(names: readonly Name[]): Record<Name, number> =>
  Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>

export function addCounts(total: Counts, more: Counts): void {
  for (const [name, count] of Object.entries(more)) {
    const before = total[name] ?? 0
    total[name] = PEAK.test(name) ? Math.max(before, count) : before + count
  }
}

/** Names of what should have happened and did not. */
export const missing = (counts: Counts, { names, fromSchedules }: Musts): string[] =>
  counts.schedules < fromSchedules ? [] : names.filter((name) => counts[name] === 0)

/** One line each: `refused held   1,234`. */
export function describeCounts(counts: Counts): string {
  const rows = Object.entries(counts).map(([name, count]): [string, number] =>
    name === 'simulatedMs' ? ['simulated hours', count / 3_600_000] : [inWords(name), count],
  )
  const figures = rows.map(([, value]) => value.toLocaleString('en', { maximumFractionDigits: 1 }))
  const width = Math.max(...figures.map((figure) => figure.length))
  return rows.map(([label], i) => `${label.padEnd(30)} ${figures[i]?.padStart(width)}`).join('\n')
}

const inWords = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

import { readFile, writeFile } from 'node:fs/promises'
import { isMet, ratioOf, type Goal, type Measurement, type Unit } from './benchmark.ts'
import type { Machine } from './machine.ts'

export type Report = {
  readonly machine: Machine
  readonly quick: boolean
  readonly measurements: readonly Measurement[]
  /** What was not measured, and why. */
  readonly skipped: readonly string[]
}

/** What has a goal: the rows that the README shows. */
export const withGoals = (report: Report): Report => ({
  ...report,
  measurements: report.measurements.filter(({ goal }) => goal !== undefined),
})

/** The table as Markdown, with the machine above it. */
export function markdown({ machine, quick, measurements, skipped }: Report): string {
  const { cpu, cores, memoryGb, kernel, node, date, commit, echoMicros, syncMicros } = machine
  const header = ['what', 'Rookery', 'peer', 'ratio', 'goal', 'met']
  const rows = measurements.map((measurement) => {
    const { what, unit, rookery, peer, goal } = measurement
    const [ratio, met] = [ratioOf(measurement), isMet(measurement)]
    return [
      what,
      withUnit(rookery, unit),
      peer === undefined ? '–' : `${withUnit(peer.value, unit)} (${peer.name})`,
      ratio === undefined ? '–' : ratio.toFixed(2),
      goal === undefined ? '–' : goalText(goal, peer === undefined ? ` ${unit}` : ''),
      met === undefined ? '–' : met ? 'yes' : 'no',
    ]
  })
  return [
    `${cpu}, ${cores} cores, ${memoryGb} GB, ${kernel}, Node ${node}, ${date}, commit ${commit}.`,
    `Between two processes an echo over TCP takes ${withUnit(echoMicros, 'µs')} here, a synced write to the disk ${withUnit(syncMicros, 'µs')}.`,
    `Everything on loopback, peers measured in the same run${quick ? ' (a quick one: few samples)' : ''}; medians unless it says otherwise.`,
    '',
    ...table([header, ...rows]),
    ...(skipped.length === 0 ? [] : ['', ...skipped.map((text) => `Not measured: ${text}`)]),
  ].join('\n')
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const [header = [], ...body] = rows
  return [line(header), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)]
}

/** For programs: the same, with ratio and verdict worked out. */
export const json = (report: Report): string =>
  JSON.stringify({
    ...report,
    measurements: report.measurements.map((measurement) => ({
      ...measurement,
      ratio: ratioOf(measurement) ?? null,
      met: isMet(measurement) ?? null,
    })),
  })

/**
 * Puts the text between the two markers, leaving the rest of the file as it is.
 * @throws when the file does not have both markers
 */
export async function replaceNumbers(file: string, text: string): Promise<void> {
  const old = await readFile(file, 'utf8')
  const begin = /<!-- numbers:begin[^>]*-->\n/.exec(old)
  const end = old.indexOf('<!-- numbers:end -->')
  if (!begin || end < begin.index) throw new Error(`${file} has no numbers:begin and numbers:end markers`)
  await writeFile(file, `${old.slice(0, begin.index + begin[0].length)}\n${text}\n\n${old.slice(end)}`)
}

const goalText = (goal: Goal, unit: string): string =>
  'most' in goal ? `≤ ${goal.most}${unit}` : `≥ ${goal.least}${unit}`

/** Three digits that count, thousands apart. */
function withUnit(value: number, unit: Unit): string {
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3
  const number = value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
  return `${number} ${unit}`
}

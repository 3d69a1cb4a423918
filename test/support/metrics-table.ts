import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { METRICS } from '../../node/ports/metric-catalogue.ts'

export const OPERATING = resolve(import.meta.dirname, '../../docs/operating.md')
const BEGIN = '<!-- metrics:begin (written by `node test/support/metrics-table.ts`) -->\n'
const END = '<!-- metrics:end -->'

/** The text with its table of metrics as the catalogue has them. */
export function withMetrics(document: string): string {
  const [before, rest] = document.split(BEGIN)
  const after = rest?.split(END)[1]
  if (before === undefined || after === undefined) throw new Error('the document has no place for the metrics')
  return `${before}${BEGIN}\n${table()}\n\n${END}${after}`
}

function table(): string {
  const rows = Object.entries(METRICS).map(([name, { type, labels, help }]) => [
    `\`${name}\``,
    type,
    labels.map((label) => `\`${label}\``).join(', ') || '–',
    help,
  ])
  const all = [['metric', 'type', 'labels', 'what it says'], ...rows]
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => (row[column] ?? '').length)))
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  const rule = line(widths.map((width) => '-'.repeat(width)))
  const [head = [], ...body] = all
  return [line(head), rule, ...body.map(line)].join('\n')
}

if (import.meta.main) writeFileSync(OPERATING, withMetrics(readFileSync(OPERATING, 'utf8')))

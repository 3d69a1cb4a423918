import type { SQLInputValue } from 'node:sqlite'
import type { ChunkScope, WordHit } from '../ports/chunk-index.ts'
import { conditions } from './chunk-conditions.ts'
import { chunkOf, COLUMNS, projectWord } from './chunk-rows.ts'
import { queryWords } from './query-words.ts'

/** A word that more than this share of all chunks has says little and would make all of them candidates. */
const COMMON_SHARE = 0.2
/** … unless there are so few chunks that it costs nothing. */
const COMMON_MIN = 500

/** So many times as many are ranked as are wanted: some have expired, or are of another type. */
const SPARE = 4

type Rows = (sql: string, ...values: SQLInputValue[]) => Record<string, unknown>[]
type Weighted = { readonly expression: string; readonly weight: number; readonly isCommon: boolean }

/**
 * The best chunks by BM25, of those that have at least one of the words; each with the weighted share of the words that it
 * has. Undefined when the text has no words.
 */
export function searchWords(
  rows: Rows,
  { scope, text, limit }: { scope: ChunkScope; text: string; limit: number },
): readonly WordHit[] | undefined {
  const expressions = queryWords(text).map((word) => `text : "${word}"`)
  if (expressions.length === 0) return undefined
  const weighted = weigh(rows, expressions)
  const telling = weighted.filter(({ isCommon }) => !isCommon)
  const asked = (telling.length > 0 ? telling : weighted).map(({ expression }) => expression)
  const found = best(rows, { scope, match: `${ofProjects(scope)} AND (${asked.join(' OR ')})`, limit })
  const coverage = coverages(
    rows,
    weighted,
    found.map(({ no }) => Number(no)),
  )
  return found.map((row) => ({ chunk: chunkOf(row), coverage: coverage.get(Number(row.no)) ?? 0 }))
}

/** Ranks first (`CROSS JOIN` keeps SQLite from going the other way) and looks at the chunks of the best only; at all of them when too few of these are in the scope. */
function best(
  rows: Rows,
  { scope, match, limit }: { scope: ChunkScope; match: string; limit: number },
): Record<string, unknown>[] {
  const { where, values } = conditions(scope)
  const ask = (ranked: string, ranks: number): Record<string, unknown>[] =>
    rows(
      `SELECT ${COLUMNS}, chunk.no FROM (${ranked}) AS hit CROSS JOIN chunk ON chunk.no = hit.no
       WHERE ${where} ORDER BY hit.score LIMIT ?`,
      match,
      ranks,
      ...values,
      limit,
    )
  const ranked = 'SELECT rowid AS no, bm25(words, 0, 1) AS score FROM words WHERE words MATCH ?'
  const quick = ask(`${ranked} ORDER BY score LIMIT ?`, limit * SPARE)
  return quick.length === limit ? quick : ask(`${ranked} LIMIT ?`, -1)
}

const ofProjects = ({ projects }: ChunkScope): string =>
  `(${projects.map((project) => `project : ${projectWord(project)}`).join(' OR ')})`

const COUNT_UP_TO = 'SELECT count(*) AS n FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)'

/** What each word is worth: the rarer on this node, the more. A word that nowhere occurs counts as one that occurs once. */
function weigh(rows: Rows, expressions: readonly string[]): Weighted[] {
  const number = (sql: string, ...values: SQLInputValue[]): number =>
    Math.max(1, Number(rows(sql, ...values)[0]?.n ?? 0))
  // Counting a hundred thousand rows takes as long as the rest: the numbers given out so far are near enough.
  const total = number('SELECT max(no) AS n FROM chunk')
  const common = Math.max(COMMON_MIN, Math.ceil(total * COMMON_SHARE))
  return expressions.map((expression) => {
    const having = number(COUNT_UP_TO, expression, common)
    return { expression, weight: Math.log(1 + total / having), isCommon: having >= common }
  })
}

function coverages(rows: Rows, weighted: readonly Weighted[], numbers: readonly number[]): Map<number, number> {
  const whole = weighted.reduce((sum, { weight }) => sum + weight, 0)
  const covered = new Map<number, number>()
  for (const { expression, weight } of weighted)
    for (const { no } of rows(
      'SELECT rowid AS no FROM words WHERE words MATCH ? AND rowid IN (SELECT value FROM json_each(?))',
      expression,
      JSON.stringify(numbers),
    ))
      covered.set(Number(no), (covered.get(Number(no)) ?? 0) + weight / whole)
  return covered
}

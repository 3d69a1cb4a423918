import type { SQLInputValue } from 'node:sqlite'
import type { ChunkScope, WordHit } from '../ports/chunk-index.ts'
import { conditions } from './chunk-conditions.ts'
import { chunkOf, COLUMNS, projectWord } from './chunk-rows.ts'
import { queryWords } from './query-words.ts'

/** A word that more than this share of all chunks has says little and would make all of them candidates. */
const COMMON_SHARE = 0.2
/** … unless there are so few chunks that it costs nothing. */
const COMMON_MIN = 500

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
  const weighted = weigh(rows, scope, expressions)
  const telling = weighted.filter(({ isCommon }) => !isCommon)
  const asked = (telling.length > 0 ? telling : weighted).map(({ expression }) => expression)
  const { where, values } = conditions(scope)
  const found = rows(
    `SELECT ${COLUMNS}, chunk.no FROM words JOIN chunk ON chunk.no = words.rowid
     WHERE words MATCH ? AND ${where} ORDER BY bm25(words, 0, 1) LIMIT ?`,
    `${ofProjects(scope)} AND (${asked.join(' OR ')})`,
    ...values,
    limit,
  )
  const coverage = coverages(
    rows,
    weighted,
    found.map(({ no }) => Number(no)),
  )
  return found.map((row) => ({ chunk: chunkOf(row), coverage: coverage.get(Number(row.no)) ?? 0 }))
}

const ofProjects = ({ projects }: ChunkScope): string =>
  `(${projects.map((project) => `project : ${projectWord(project)}`).join(' OR ')})`

/** What each word is worth: the rarer, the more. A word that nowhere occurs counts as one that occurs once. */
function weigh(rows: Rows, scope: ChunkScope, expressions: readonly string[]): Weighted[] {
  const ofScope = ofProjects(scope)
  const count = (match: string, atMost: number): number =>
    Number(
      rows('SELECT count(*) AS n FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)', match, atMost)[0]?.n ?? 0,
    )
  const total = Math.max(
    1,
    Number(
      rows(
        'SELECT count(*) AS n FROM chunk WHERE project IN (SELECT value FROM json_each(?))',
        JSON.stringify(scope.projects),
      )[0]?.n,
    ),
  )
  const common = Math.max(COMMON_MIN, Math.ceil(total * COMMON_SHARE))
  return expressions.map((expression) => {
    const having = Math.max(1, count(`${ofScope} AND ${expression}`, common))
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

import type { SQLInputValue } from 'node:sqlite'
import type { ChunkScope } from '../ports/chunk-index.ts'

export type Conditions = { readonly where: string; readonly values: readonly SQLInputValue[] }

/** What a row of `chunk` has to meet to be in the scope, as SQL. */
export function conditions(scope: ChunkScope): Conditions {
  const { where, values } = belonging(scope)
  const isLive =
    '(chunk.expires IS NULL OR chunk.expires > ?) AND NOT EXISTS (SELECT 1 FROM removed WHERE removed.id = chunk.id)'
  return { where: `${where} AND ${isLive}`, values: [...values, scope.nowMs] }
}

/** Counts those of the scope that nobody is to see any more: from these few on, not by looking at all of the scope. */
export function countHidden(scope: ChunkScope): { readonly sql: string; readonly values: readonly SQLInputValue[] } {
  const { where, values } = belonging(scope)
  const expired = 'SELECT no AS hidden FROM chunk INDEXED BY chunk_expiry WHERE expires <= ?'
  const removed = 'SELECT no FROM removed CROSS JOIN chunk ON chunk.id = removed.id'
  const sql = `SELECT count(*) AS n FROM (${expired} UNION ${removed}) CROSS JOIN chunk ON chunk.no = hidden WHERE ${where}`
  return { sql, values: [scope.nowMs, ...values] }
}

/** As `conditions`, for chunks that have expired and such as have been removed, too. */
export function belonging({ projects, types, files, instanceId, taskId }: ChunkScope): Conditions {
  const parts: string[] = []
  const values: SQLInputValue[] = []
  const also = (part: string, ...more: SQLInputValue[]): void => {
    parts.push(part)
    values.push(...more)
  }
  also(`chunk.project ${among(projects)}`, ...projects)
  if (types) also(`chunk.type ${among(types)}`, ...types)
  if (files)
    also(
      'EXISTS (SELECT 1 FROM json_each(chunk.files) AS file WHERE file.value IN (SELECT value FROM json_each(?)))',
      JSON.stringify(files),
    )
  if (instanceId !== undefined) also('chunk.instance = ?', instanceId)
  if (taskId !== undefined) also('chunk.task = ?', taskId)
  return { where: parts.join(' AND '), values }
}

export const among = (values: readonly unknown[]): string => `IN (${values.map(() => '?').join(', ')})`

import type { SQLInputValue } from 'node:sqlite'
import type { ChunkScope } from '../ports/chunk-index.ts'

/** What a row of `chunk` has to meet to be in the scope, as SQL. */
export function conditions(
  scope: ChunkScope,
  removed: 'with removed' | 'without removed' = 'without removed',
): { readonly where: string; readonly values: SQLInputValue[] } {
  const { projects, types, files, instanceId, taskId, nowMs } = scope
  const parts = [
    `chunk.project IN (${projects.map(() => '?').join(', ')})`,
    '(chunk.expires IS NULL OR chunk.expires > ?)',
    ...(removed === 'with removed' ? [] : ['NOT EXISTS (SELECT 1 FROM removed WHERE removed.id = chunk.id)']),
  ]
  const values: SQLInputValue[] = [...projects, nowMs]
  const also = (part: string, value: SQLInputValue): void => {
    parts.push(part)
    values.push(value)
  }
  if (types) also('type IN (SELECT value FROM json_each(?))', JSON.stringify(types))
  if (files)
    also(
      'EXISTS (SELECT 1 FROM json_each(chunk.files) AS file WHERE file.value IN (SELECT value FROM json_each(?)))',
      JSON.stringify(files),
    )
  if (instanceId !== undefined) also('instance = ?', instanceId)
  if (taskId !== undefined) also('task = ?', taskId)
  return { where: parts.join(' AND '), values }
}

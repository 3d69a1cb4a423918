import type { TaskId } from './ids.ts'

/**
 * True when `task` would, through any chain, wait for itself once it depends on `dependencies`. Two concurrent edits
 * can still close a circle together; both tasks then show as blocked until one is edited again.
 */
export function closesCycle(
  task: TaskId,
  dependencies: readonly TaskId[],
  dependenciesOf: (id: TaskId) => readonly TaskId[],
): boolean {
  const seen = new Set<TaskId>()
  const open = [...dependencies]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (id === task) return true
    if (seen.has(id)) continue
    seen.add(id)
    open.push(...dependenciesOf(id))
  }
  return false
}

import type { TaskId } from '../../../crdt/ids.ts'
import type { TaskTransition } from '../../../crdt/task-board.ts'
import type { NameChanges } from '../../ports/feed-store.ts'

/** Tasks that have come (true) or gone. */
type Changes = Map<TaskId, boolean>

/** What the index by which tasks are found does not have yet of one board. */
export class TaskNames {
  /** Undefined while nothing is known of what is stored: then all there are have to be. */
  #changes: Changes | undefined
  /** On their way to the disk. */
  #taken: Changes | 'all' | undefined

  constructor(isStored: boolean) {
    this.#changes = isStored ? new Map() : undefined
  }

  note(transitions: readonly TaskTransition[]): void {
    for (const { before, after } of transitions) {
      if (!before && after) this.#changes?.set(after.id, true)
      if (before && !after) this.#changes?.set(before.id, false)
    }
  }

  /** What was taken before and not `stored` is among it. */
  take(all: () => readonly TaskId[]): NameChanges {
    if (!this.#changes || this.#taken === 'all') {
      this.#taken = 'all'
      this.#changes = new Map()
      return { added: all(), removed: [] }
    }
    const taken: Changes = new Map([...(this.#taken ?? []), ...this.#changes])
    this.#taken = taken
    this.#changes = new Map()
    const having = (isThere: boolean): TaskId[] => [...taken].flatMap(([id, is]) => (is === isThere ? [id] : []))
    return { added: having(true), removed: having(false) }
  }

  stored(): void {
    this.#taken = undefined
  }
}

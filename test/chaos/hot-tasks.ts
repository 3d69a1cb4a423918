import type { Dice } from './dice.ts'

/** So many tasks are fought for at a time. */
const HOT_TASKS = 5

export type HotTasks = {
  /** Undefined when there should be one more. */
  pick(dice: Dice): string | undefined
  isOpen(id: string): void
  isClosed(id: string): void
  /** Every task that was acknowledged. */
  created(): readonly string[]
}

export function createHotTasks(): HotTasks {
  const all: string[] = []
  const open = new Set<string>()
  return {
    pick: (dice) => (open.size < HOT_TASKS ? undefined : dice.pick([...open])),
    isOpen(id) {
      all.push(id)
      open.add(id)
    },
    isClosed: (id) => void open.delete(id),
    created: () => all,
  }
}

/** Runs what concerns one key one after the other. */
export type Turns = <T>(key: string, task: () => Promise<T>) => Promise<T>

/** A queue lives only as long as somebody waits in it. */
export function createTurns(): Turns {
  const tails = new Map<string, Promise<unknown>>()
  return async (key, task) => {
    const before = tails.get(key)
    const mine = before ? before.then(task, task) : task()
    tails.set(key, mine)
    try {
      return await mine
    } finally {
      if (tails.get(key) === mine) tails.delete(key)
    }
  }
}

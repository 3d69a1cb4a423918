import type { Clock } from '../ports/clock.ts'

/** Resolves when what else waits has had its turn. */
export async function othersTurn(clock: Pick<Clock, 'after'>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  clock.after(0, resolve)
  await promise
}

import type { LeaseJournal } from '../../node/ports/lease-journal.ts'

/** A disk that can lose what was not synced, stall, and fail. */
export type SimDisk = {
  /** What would survive a crash now. */
  readonly durable: readonly Uint8Array[]
  readonly syncs: number
  open(): LeaseJournal
  /** From now on a sync that has work to do waits. */
  stall(): void
  /** Lets stalled syncs finish. */
  resume(): void
  /** The process dies: the journal in use never answers again, and only `keep` of the unsynced records survive. */
  crash(keep?: number): void
  /** Every sync from now on fails. */
  breakDown(cause: Error): void
}

export function createSimDisk(): SimDisk {
  let durable: Uint8Array[] = []
  let process: Process | undefined
  let syncs = 0
  let broken: Error | undefined
  let stalled: { promise: Promise<void>; resolve: () => void } | undefined

  const open = (): LeaseJournal => {
    const mine: Process = { unsynced: [], taken: 0 }
    process = mine
    let failure: Error | undefined
    let tail: Promise<void> = Promise.resolve()
    const enqueue = (work: () => void): Promise<void> => {
      const done = tail.then(async () => {
        await stalled?.promise
        if (process !== mine) await new Promise(() => undefined)
        failure ??= broken
        if (failure) throw failure
        work()
      })
      tail = done.catch(() => undefined)
      return done
    }
    const sync = (): Promise<void> => {
      const upTo = mine.taken + mine.unsynced.length
      return enqueue(() => {
        const records = take(mine, upTo)
        if (records.length > 0) syncs += 1
        durable.push(...records)
      })
    }
    return {
      async replay() {
        await sync()
        return [...durable]
      },
      append(record) {
        if (failure) throw failure
        mine.unsynced.push(record)
      },
      sync,
      async compact(records) {
        const upTo = mine.taken + mine.unsynced.length
        await enqueue(() => {
          take(mine, upTo)
          durable = [...records]
        })
      },
      async close() {
        await sync()
        failure = new Error('the journal is closed')
      },
    }
  }

  return {
    get durable() {
      return durable
    },
    get syncs() {
      return syncs
    },
    open,
    stall() {
      stalled ??= Promise.withResolvers<void>()
    },
    resume() {
      stalled?.resolve()
      stalled = undefined
    },
    crash(keep = 0) {
      durable.push(...(process?.unsynced.splice(0, keep) ?? []))
      process = undefined
    },
    breakDown(cause) {
      broken = cause
    },
  }
}

/** Records that are not on disk, and how many were before them. */
type Process = { unsynced: Uint8Array[]; taken: number }

function take(process: Process, upTo: number): Uint8Array[] {
  const records = process.unsynced.splice(0, Math.max(0, upTo - process.taken))
  process.taken += records.length
  return records
}

import type { Clock } from '../../../node/ports/clock.ts'
import type { LeaseJournal } from '../../../node/ports/lease-journal.ts'
import type { Life } from './life.ts'
import type { SimDisk } from './sim-disk.ts'

/** Sees what a journal does, for assertions. */
export type JournalObserver = {
  readonly appended: (record: Uint8Array) => void
  readonly durable: (record: Uint8Array) => void
  readonly compacted: (records: readonly Uint8Array[]) => void
  readonly replayed: (records: readonly Uint8Array[]) => void
}

/** The journal port on a simulated disk, for one process. */
export function openSimJournal(
  disk: SimDisk<Uint8Array[]>,
  process: { readonly life: Life; readonly clock: Clock },
  observer: JournalObserver,
): LeaseJournal {
  const { life, clock } = process
  const sync = (): Promise<void> => disk.sync(life, clock)
  return {
    async replay() {
      await sync()
      observer.replayed(disk.state)
      return [...disk.state]
    },
    append(record) {
      if (!life.isAlive) return
      observer.appended(record)
      disk.write(life, (records) => {
        records.push(record)
        observer.durable(record)
      })
    },
    sync,
    async compact(records) {
      observer.compacted(records)
      disk.write(life, (state) => state.splice(0, state.length, ...records))
      await sync()
    },
    close: sync,
  }
}

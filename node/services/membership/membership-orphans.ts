import type { LogRecord } from '../../../protocols/membership/records.ts'

/** A neighbour sends parents first, so records wait only for what is under way on another connection. */
export const ORPHANS_MAX = 512
/** Two of the largest frames of a sync. */
export const ORPHAN_BYTES_MAX = 2 * 1024 * 1024

/** Records whose parents have not come yet; the oldest are forgotten first, anti-entropy brings them again. */
export type Orphanage = {
  keep(record: LogRecord): void
  /** Takes out those that are ready. */
  release(isReady: (record: LogRecord) => boolean): LogRecord[]
}

export function createOrphanage(): Orphanage {
  const waiting = new Map<string, LogRecord>()
  let bytes = 0
  const forget = (record: LogRecord): void => {
    if (waiting.delete(record.key)) bytes -= record.bytes.byteLength
  }
  return {
    keep(record) {
      if (waiting.has(record.key)) return
      waiting.set(record.key, record)
      bytes += record.bytes.byteLength
      for (const oldest of waiting.values()) {
        if (waiting.size <= ORPHANS_MAX && bytes <= ORPHAN_BYTES_MAX) return
        forget(oldest)
      }
    },
    release(isReady) {
      const ready = [...waiting.values()].filter(isReady)
      for (const record of ready) forget(record)
      return ready
    },
  }
}

import { z } from 'zod'
import { CertifiedRecord, isProvisional } from '../../../crdt/lock-record.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import { LIVE_BYTES_MAX } from '../feeds/generations.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'
import type { LiveEntry } from './lock-live.ts'

/** A lock that a quorum granted, as it outlives the process. */
export type KeptLock = LiveEntry & { readonly record: CertifiedRecord; readonly certificate: Uint8Array }

/** What this node holds, on its own disk: the live document dies with the process. */
export type KeptLocks = {
  /** What an earlier process held. Stays on disk until it is `settle`d, whatever is saved meanwhile. */
  load(): Promise<readonly KeptLock[]>
  /** It is known what became of them; says so on disk with the next `save`. */
  settle(locks: readonly KeptLock[]): void
  /** Replaces what was saved before; durable when it resolves. Provisional locks end with the process: they are left out. */
  save(entries: readonly LiveEntry[]): Promise<void>
}

const FACT = 'held-locks'

const Bytes = z.instanceof(Uint8Array)
/** Each lock in bytes of its own: encoded once, however often all are written. Certificates by lease, as many share one. */
const KeptFact = z.object({ locks: z.array(Bytes), certificates: z.record(z.string(), Bytes) })
const Kept = z.object({ id: z.string(), record: CertifiedRecord, claim: z.string().exactOptional() })

export function createKeptLocks({
  store,
  log,
}: {
  store: Pick<FeedStore, 'getFact' | 'putFact'>
  log: Log
}): KeptLocks {
  const unsettled = new Set<KeptLock>()
  const encoded = new WeakMap<KeptLock, Uint8Array>()
  let saved: readonly KeptLock[] = []
  const bytesOf = (lock: KeptLock): Uint8Array => {
    const { certificate: _, ...rest } = lock
    const bytes = encoded.get(lock) ?? encodeCanonical(rest)
    encoded.set(lock, bytes)
    return bytes
  }
  return {
    async load() {
      const bytes = await store.getFact(FACT)
      for (const lock of bytes ? decoded(bytes, log) : []) unsettled.add(lock)
      saved = [...unsettled]
      return saved
    },
    settle(locks) {
      for (const lock of locks) unsettled.delete(lock)
    },
    async save(entries) {
      const kept = [...unsettled, ...entries.filter(isKept)]
      // Most writes of the live document change nothing here.
      if (kept.length === saved.length && kept.every((lock, i) => lock === saved[i])) return
      const certificates = Object.fromEntries(kept.map(({ record, certificate }) => [record.lease, certificate]))
      await store.putFact(FACT, encodeCanonical({ locks: kept.map(bytesOf), certificates }))
      saved = kept
    },
  }
}

const isKept = (entry: LiveEntry): entry is KeptLock => !isProvisional(entry.record) && entry.certificate !== undefined

/** Locks that cannot be read are lost, as they would be without a disk. */
function decoded(bytes: Uint8Array, log: Log): KeptLock[] {
  try {
    const { locks, certificates } = decodeCanonical(KeptFact, bytes, LIVE_BYTES_MAX)
    return locks.flatMap((encoded) => {
      const lock = decodeCanonical(Kept, encoded, LIVE_BYTES_MAX)
      const certificate = certificates[lock.record.lease]
      return certificate ? [{ ...lock, certificate }] : []
    })
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error
    log.warn({ err: error }, 'the locks of the last run cannot be read')
    return []
  }
}

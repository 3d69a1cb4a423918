import { z } from 'zod'
import { PeerId } from '../../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../../../protocols/codec.ts'
import { DEPS_MAX, ENVELOPE_BYTES_MAX } from '../../../protocols/feed/envelope.ts'
import { guarded, type Replica } from './replica.ts'

const INDEX = 'feeds/frozen'
const REASON_LENGTH_MAX = 512
const Index = z.array(z.strictObject({ author: PeerId, reason: z.string().max(REASON_LENGTH_MAX) }))
const Evidence = z.array(z.custom<Uint8Array>((value) => value instanceof Uint8Array)).max(2)

/** One entry per author that ever misbehaved. */
const INDEX_BYTES_MAX = DEPS_MAX * 1024
const EVIDENCE_BYTES_MAX = 2 * ENVELOPE_BYTES_MAX + 1024

/** Evidence is signed envelopes: whoever receives them comes to the same conclusion. */
export type FrozenListener = (author: PeerId, reason: string, evidence: readonly Uint8Array[]) => void

/** Authors who provably broke the rules of feeds, remembered with the proof. */
export type Frozen = {
  readonly has: (author: PeerId) => boolean
  readonly all: () => ReadonlyMap<PeerId, string>
  add(author: PeerId, reason: string, evidence: readonly Uint8Array[]): Promise<void>
  /** For an author who has been removed: a new admission starts afresh. */
  release(author: PeerId): Promise<void>
  readonly evidence: (author: PeerId) => Promise<readonly Uint8Array[]>
  readonly onFrozen: (listener: FrozenListener) => () => void
}

export async function loadFrozen(replica: Replica): Promise<Frozen> {
  const { store, log } = replica
  const stored = await store.getFact(INDEX)
  const reasons = new Map<PeerId, string>()
  for (const { author, reason } of stored ? decodeCanonical(Index, stored, INDEX_BYTES_MAX) : [])
    reasons.set(author, reason)
  const listeners = new Set<FrozenListener>()
  const save = async (): Promise<void> => {
    try {
      await store.putFact(INDEX, encodeCanonical([...reasons].map(([author, reason]) => ({ author, reason }))))
    } catch (err) {
      // What froze the author is refused again whenever it comes again.
      log.error({ err }, 'frozen authors could not be written to disk')
    }
  }
  return {
    has: (author) => reasons.has(author),
    all: () => new Map(reasons),
    async add(author, reason, evidence) {
      if (reasons.has(author)) return
      reasons.set(author, reason.slice(0, REASON_LENGTH_MAX))
      log.error({ author, reason }, 'an author broke the rules of feeds and is frozen: an admin should remove it')
      try {
        await store.putFact(`${INDEX}/${author}`, encodeCanonical(evidence))
      } catch (err) {
        log.error({ err }, 'evidence could not be written to disk')
      }
      await save()
      for (const listener of listeners) guarded(replica, () => listener(author, reason, evidence))
    },
    async release(author) {
      if (reasons.delete(author)) await save()
    },
    async evidence(author) {
      const bytes = await store.getFact(`${INDEX}/${author}`)
      return bytes && reasons.has(author) ? decodeCanonical(Evidence, bytes, EVIDENCE_BYTES_MAX) : []
    },
    onFrozen(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

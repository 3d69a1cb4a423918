import type { DocId, PeerId } from '../../../crdt/ids.ts'
import { equalBytes, toHex } from '../../../protocols/codec.ts'
import type { FeedCut } from '../../../protocols/membership/membership.ts'
import { POSITIONS_PER_PART, type SyncMessage, type Vectors } from '../../../protocols/sync.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import { randomFraction, type Random } from '../../ports/random.ts'
import type { FeedExchange } from '../feeds/feed-exchange.ts'

type Claim = Extract<SyncMessage, { t: 'hash' }>

export type ContentCheck = {
  /** Names the content of one document, any of those at hand in which both stand at the same place. */
  offer(theirs: Vectors, say: (claim: Claim) => void): void
  /** Compares, if we still stand at that place; a difference is logged and told. */
  compare(from: PeerId, claim: Claim): void
}

/** A hash of a large document takes a second; all of them together take a fiftieth of the time. */
const REST_PER_WORK = 50

/**
 * Equal positions must mean equal contents: what never happens unless something is broken is looked at all the time. What
 * is not in memory is not loaded for it; it is compared when somebody has used it. One look at a time, and none while this
 * node rests from the last: nobody waits for it, and nobody is charged for it.
 */
export function createContentCheck(deps: {
  readonly feeds: Pick<FeedExchange, 'vectors' | 'hasContent' | 'contentHash'>
  readonly clock: Pick<Clock, 'monoMs'>
  readonly random: Random
  readonly log: Log
  readonly onMismatch?: (doc: DocId, peer: PeerId) => void
}): ContentCheck {
  const { feeds, clock, random, log, onMismatch } = deps
  let restUntilMs = -Infinity
  const look = (doc: DocId, then: (hash: Uint8Array) => void): void => {
    const startMs = clock.monoMs()
    if (startMs < restUntilMs) return
    restUntilMs = Infinity
    feeds
      .contentHash(doc)
      .then(then)
      .catch((error: unknown) => log.debug({ err: error, doc }, 'the content of a document could not be compared'))
      .finally(() => (restUntilMs = clock.monoMs() + (clock.monoMs() - startMs) * REST_PER_WORK))
  }
  return {
    offer(theirs, say) {
      const ours = feeds.vectors()
      const equal = [...theirs].filter(([doc, heads]) => isSame(ours.get(doc), heads) && feeds.hasContent(doc))
      const [doc, heads] = equal[Math.floor(randomFraction(random) * equal.length)] ?? []
      if (doc === undefined || heads === undefined) return
      const at = new Map([...heads].map(([author, { seq }]) => [author, seq]))
      look(doc, (hash) => {
        if (isAt(feeds.vectors().get(doc), at)) say({ t: 'hash', doc, at: [...at], hash })
      })
    },
    compare(from, claim) {
      const at = new Map(claim.at)
      if (!isAt(feeds.vectors().get(claim.doc), at) || !feeds.hasContent(claim.doc)) return
      look(claim.doc, (hash) => {
        if (equalBytes(hash, claim.hash) || !isAt(feeds.vectors().get(claim.doc), at)) return
        log.error(
          { peer: from, doc: claim.doc, ours: toHex(hash), theirs: toHex(claim.hash) },
          'replicas differ although both have applied the same envelopes',
        )
        onMismatch?.(claim.doc, from)
      })
    },
  }
}

type Heads = ReadonlyMap<PeerId, FeedCut>

/** Equal numbers on two branches of one feed say nothing about the content. */
const isSame = (ours: Heads | undefined, theirs: Heads): boolean =>
  theirs.size <= POSITIONS_PER_PART &&
  isAt(ours, new Map([...theirs].map(([author, { seq }]) => [author, seq]))) &&
  [...theirs].every(([author, { hash }]) => equalBytes(ours?.get(author)?.hash ?? new Uint8Array(), hash))

const isAt = (ours: Heads | undefined, at: ReadonlyMap<PeerId, number>): boolean =>
  ours !== undefined && ours.size === at.size && [...at].every(([author, seq]) => ours.get(author)?.seq === seq)

import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { Vectors } from '../../../protocols/sync.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FeedExchange } from '../feeds/feed-exchange.ts'

/** Feeds of which a member has more than we have, per member: what is shown beyond it is too low, and bad enough. */
const AHEAD_MAX = 1000

export type DocumentLag = { readonly envelopes: number; readonly sinceMs: number }

/** How far replicas are apart, as far as connected members have said where they stand. */
export type SyncLag = {
  /** Takes in where a member stands; `refused` are authors whose envelopes it does not want. */
  heard(peer: PeerId, theirs: Vectors, refused: readonly PeerId[]): void
  /** It is not connected any more. */
  forget(peer: PeerId): void
  /** Envelopes that each member lacked when it last said where it stands. */
  members(): ReadonlyMap<PeerId, number>
  /** Envelopes that members have and we have not applied, with the monotonic time since when; only where there are any. */
  documents(): ReadonlyMap<DocId, DocumentLag>
}

type Ahead = { readonly doc: DocId; readonly author: PeerId; readonly seq: number; readonly sinceMs: number }
type Standing = { readonly behind: number; readonly ahead: readonly Ahead[] }

export function createSyncLag(deps: {
  readonly feeds: Pick<FeedExchange, 'vectors' | 'frozen' | 'forks'>
  readonly clock: Pick<Clock, 'monoMs'>
}): SyncLag {
  const { feeds, clock } = deps
  const standings = new Map<PeerId, Standing>()
  return {
    heard(peer, theirs, refused) {
      const ours = feeds.vectors()
      const before = standings.get(peer)?.ahead ?? []
      const sinceMs = ({ doc, author }: Pick<Ahead, 'doc' | 'author'>): number =>
        before.find((one) => one.doc === doc && one.author === author && one.seq > seqIn(ours, one))?.sinceMs ??
        clock.monoMs()
      const unwanted = new Set(feeds.frozen().keys())
      // Branches of one feed are numbered alike and say nothing about each other.
      const forked = new Set([...feeds.forks()].map(({ doc, author }) => `${doc} ${author}`))
      const ahead = beyond(theirs, ours)
        .filter(({ doc, author }) => !unwanted.has(author) && !forked.has(`${doc} ${author}`))
        .slice(0, AHEAD_MAX)
      const behind = beyond(ours, theirs)
        .filter(({ doc, author }) => !refused.includes(author) && !forked.has(`${doc} ${author}`))
        .reduce((sum, { by }) => sum + by, 0)
      standings.set(peer, { behind, ahead: ahead.map((one) => ({ ...one, sinceMs: sinceMs(one) })) })
    },
    forget: (peer) => void standings.delete(peer),
    members: () => new Map([...standings].map(([peer, { behind }]) => [peer, behind])),
    documents() {
      const ours = feeds.vectors()
      const missing = new Map<DocId, Map<PeerId, Ahead>>()
      for (const one of [...standings.values()].flatMap(({ ahead }) => ahead)) {
        if (one.seq <= seqIn(ours, one)) continue
        const byAuthor = missing.get(one.doc) ?? new Map<PeerId, Ahead>()
        missing.set(one.doc, byAuthor)
        if ((byAuthor.get(one.author)?.seq ?? 0) < one.seq) byAuthor.set(one.author, one)
      }
      return new Map([...missing].map(([doc, byAuthor]) => [doc, lagOf([...byAuthor.values()], ours)]))
    },
  }
}

const lagOf = (ahead: readonly Ahead[], ours: Vectors): DocumentLag => ({
  envelopes: ahead.reduce((sum, one) => sum + one.seq - seqIn(ours, one), 0),
  sinceMs: Math.min(...ahead.map(({ sinceMs }) => sinceMs)),
})

const seqIn = (vectors: Vectors, { doc, author }: Pick<Ahead, 'doc' | 'author'>): number =>
  vectors.get(doc)?.get(author)?.seq ?? 0

/** Feeds in which `a` is further than `b`, and by how much. */
function beyond(a: Vectors, b: Vectors): { doc: DocId; author: PeerId; seq: number; by: number }[] {
  return [...a].flatMap(([doc, heads]) =>
    [...heads].flatMap(([author, { seq }]) => {
      const by = seq - seqIn(b, { doc, author })
      return by > 0 ? [{ doc, author, seq, by }] : []
    }),
  )
}

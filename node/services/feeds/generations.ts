import { isVolatile, soleAuthor, type DocId, type PeerId } from '../../../crdt/ids.ts'
import type { Replica } from './replica.ts'
import type { WaitingRoom } from './waiting-room.ts'

/**
 * What a member can make others keep in memory. A generation is replaced when it has taken twice what is in it; a lock
 * with its certificate takes 2 kB, so some 600 locks of one node fit.
 */
export const LIVE_BYTES_MAX = 4 * 1024 * 1024

/** Which generation of each member's live document is in use: only the newest is kept. */
export type Generations = {
  /** True for a live document that a newer one has replaced: it is not accepted, written or told of any more. */
  isSuperseded(doc: DocId): boolean
  /** Called when a document has got envelopes; drops the generations before it. */
  note(doc: DocId): void
}

export function createGenerations(replica: Replica, room: WaitingRoom): Generations {
  const newest = new Map<PeerId, DocId>()
  const isSuperseded = (doc: DocId): boolean => {
    const current = isVolatile(doc) ? newest.get(authorOf(doc)) : undefined
    return current !== undefined && generationOf(doc) < generationOf(current)
  }
  return {
    isSuperseded,
    note(doc) {
      if (!isVolatile(doc) || isSuperseded(doc)) return
      const old = newest.get(authorOf(doc))
      newest.set(authorOf(doc), doc)
      if (old === undefined || old === doc) return
      replica.feeds.delete(old)
      room.dropDocument(old)
    },
  }
}

const generationOf = (doc: DocId): number => Number(doc.slice(doc.lastIndexOf('/') + 1))

function authorOf(doc: DocId): PeerId {
  const author = soleAuthor(doc)
  if (author === undefined) throw new Error(`${doc} has no sole author`)
  return author
}

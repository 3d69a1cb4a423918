import type { DocId, PeerId } from '../../../crdt/ids.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import { ENVELOPE_BYTES_MAX, type Envelope } from '../../../protocols/feed/envelope.ts'

/** Genuine envelopes of one author that cannot be applied yet. Beyond it the oldest go; anti-entropy brings them again. */
export const WAITING_PER_AUTHOR_MAX = 1024
export const WAITING_BYTES_PER_AUTHOR_MAX = 16 * ENVELOPE_BYTES_MAX

/** Envelopes whose signature is valid, waiting for their turn. At most one per place in a feed. */
export type WaitingRoom = {
  /** Returns another envelope that already waits for the same place, instead of adding this one. */
  add(envelope: Envelope): Envelope | undefined
  remove(envelope: Envelope): void
  has(envelope: Envelope): boolean
  authors(doc: DocId): readonly PeerId[]
  at(doc: DocId, author: PeerId, seq: number): Envelope | undefined
  of(doc: DocId): Iterable<Envelope>
  /** Forgets what waits for places that are not open (any more). */
  drop(doc: DocId, author: PeerId, isClosed: (seq: number) => boolean): void
  dropDocument(doc: DocId): void
  dropAuthor(author: PeerId): void
  count(doc: DocId): number
}

export function createWaitingRoom(): WaitingRoom {
  const docs = new Map<DocId, Map<PeerId, Map<number, Envelope>>>()
  /** In order of arrival. */
  const authors = new Map<PeerId, { readonly waiting: Set<Envelope>; bytes: number }>()
  const at = (doc: DocId, author: PeerId, seq: number): Envelope | undefined => docs.get(doc)?.get(author)?.get(seq)
  const remove = (envelope: Envelope): void => {
    const { doc, author, seq } = envelope
    if (at(doc, author, seq) !== envelope) return
    const byAuthor = docs.get(doc)
    const bySeq = byAuthor?.get(author)
    bySeq?.delete(seq)
    if (bySeq?.size === 0) byAuthor?.delete(author)
    if (byAuthor?.size === 0) docs.delete(doc)
    const account = authors.get(author)
    if (!account?.waiting.delete(envelope)) return
    account.bytes -= envelope.bytes.byteLength
    if (account.waiting.size === 0) authors.delete(author)
  }
  const removeAll = (envelopes: Iterable<Envelope>): void => {
    for (const envelope of envelopes) remove(envelope)
  }
  const shrink = (author: PeerId): void => {
    for (const oldest of authors.get(author)?.waiting ?? []) {
      const { waiting, bytes } = authors.get(author) ?? { waiting: new Set(), bytes: 0 }
      if (waiting.size <= WAITING_PER_AUTHOR_MAX && bytes <= WAITING_BYTES_PER_AUTHOR_MAX) return
      remove(oldest)
    }
  }
  function* of(doc: DocId): Generator<Envelope> {
    for (const bySeq of docs.get(doc)?.values() ?? []) yield* bySeq.values()
  }
  return {
    add(envelope) {
      const { doc, author, seq, bytes } = envelope
      const present = at(doc, author, seq)
      if (present) return present
      const byAuthor = docs.get(doc) ?? new Map<PeerId, Map<number, Envelope>>()
      const bySeq = byAuthor.get(author) ?? new Map<number, Envelope>()
      docs.set(doc, byAuthor.set(author, bySeq.set(seq, envelope)))
      const account = authors.get(author) ?? { waiting: new Set(), bytes: 0 }
      account.waiting.add(envelope)
      account.bytes += bytes.byteLength
      authors.set(author, account)
      shrink(author)
      return undefined
    },
    remove,
    has: ({ doc, author, seq, hash }) => equalBytes(at(doc, author, seq)?.hash ?? new Uint8Array(), hash),
    authors: (doc) => [...(docs.get(doc)?.keys() ?? [])],
    at,
    of,
    drop(doc, author, isClosed) {
      for (const [seq, envelope] of docs.get(doc)?.get(author) ?? []) if (isClosed(seq)) remove(envelope)
    },
    dropDocument: (doc) => removeAll(of(doc)),
    dropAuthor: (author) => removeAll(authors.get(author)?.waiting ?? []),
    count: (doc) => [...(docs.get(doc)?.values() ?? [])].reduce((sum, bySeq) => sum + bySeq.size, 0),
  }
}

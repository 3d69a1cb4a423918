import { createEncoder, toUint8Array, writeVarUint, type Encoder } from 'lib0/encoding'
import * as Y from 'yjs'
import type { DocId, MeshId, PeerId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { Signer } from '../../../protocols/crypto.ts'
import { clientIdOf, sealEnvelope, type Envelope, type EnvelopeBody } from '../../../protocols/feed/envelope.ts'
import type { SimKeys } from './keys.ts'

type Feed = {
  seq: number
  prev: Uint8Array | null
  readonly nonce: Uint8Array
  readonly client: number
  readonly scratch: Y.Doc
}

/** Signs anything in the name of one member, and keeps a valid feed per document beside it. */
export class Forger {
  readonly #crypto: SimKeys
  readonly #signer: Signer
  readonly #feeds = new Map<DocId, Feed>()
  #genesis: Uint8Array | undefined

  constructor(crypto: SimKeys, peer: PeerId) {
    this.#crypto = crypto
    this.#signer = crypto.signer(peer)
  }

  joined(genesis: Uint8Array): void {
    this.#genesis = this.#crypto.sha256(genesis)
  }

  /** Hash of the first record of the log. */
  get genesis(): Uint8Array {
    if (!this.#genesis) throw new Error('not a member yet')
    return this.#genesis
  }

  get mesh(): MeshId {
    return toHex(this.genesis) as MeshId
  }

  feed(doc: DocId): Feed {
    const known = this.#feeds.get(doc)
    if (known) return known
    const nonce = this.#crypto.sha256(new TextEncoder().encode(`${this.#signer.peer} ${doc}`)).slice(0, 16)
    const client = clientIdOf(this.#crypto, this.#signer.peer, doc, nonce)
    const scratch = new Y.Doc()
    scratch.clientID = client
    const feed: Feed = { seq: 0, prev: null, nonce, client, scratch }
    this.#feeds.set(doc, feed)
    return feed
  }

  /** The update of a change that refers to nothing of anybody else's. */
  change(doc: DocId, change: (state: Y.Doc) => void): Uint8Array {
    const { scratch } = this.feed(doc)
    let update: Uint8Array | undefined
    const keep = (bytes: Uint8Array): void => void (update = bytes)
    scratch.on('update', keep)
    scratch.transact(() => change(scratch))
    scratch.off('update', keep)
    if (!update) throw new Error('nothing was changed')
    return update
  }

  /** The next envelope of its feed, which is not advanced; any part of it may be another. */
  seal(doc: DocId, update: Uint8Array, parts: Partial<EnvelopeBody> = {}): Envelope {
    const { seq, prev, nonce } = this.feed(doc)
    const body = {
      mesh: this.mesh,
      doc,
      author: this.#signer.peer,
      seq: seq + 1,
      prev,
      deps: {},
      at: 1_800_000_000_000,
      ...(seq === 0 && { nonce }),
      update,
      ...parts,
    }
    return sealEnvelope(body, this.#signer, this.#crypto)
  }

  /** From now on the feed goes on behind this envelope. */
  advance({ doc, seq, hash }: Envelope): void {
    Object.assign(this.feed(doc), { seq, prev: hash })
  }

  clockOf(doc: DocId): number {
    const { scratch, client } = this.feed(doc)
    return Y.getState(scratch.store, client)
  }

  /** Another member's signer, outsiders included. */
  as(peer: PeerId): Forger {
    const other = new Forger(this.#crypto, peer)
    other.#genesis = this.#genesis
    return other
  }
}

/** A hand-made update: one section of structs, then an empty delete set. */
export function handMade(client: number, clock: number, structs: (out: Encoder) => number): Uint8Array {
  const body = createEncoder()
  const count = structs(body)
  const out = createEncoder()
  for (const value of [1, count, client, clock]) writeVarUint(out, value)
  return Uint8Array.from([...toUint8Array(out), ...toUint8Array(body), 0])
}

/** Claims that so many clocks were collected. */
export const collected = (client: number, clock: number, length: number): Uint8Array =>
  handMade(client, clock, (out) => {
    writeVarUint(out, 0)
    writeVarUint(out, length)
    return 1
  })

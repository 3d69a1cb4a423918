import { decode } from 'cborg'
import { createHash } from 'node:crypto'
import { isVolatile, type DocId, type PeerId } from '../../../crdt/ids.ts'
import type { StoredEnvelope } from '../../../node/ports/feed-store.ts'
import type { AppendedEnvelope } from '../../../node/services/feeds/feed-exchange.ts'
import type { FeedPosition } from '../../../node/services/feeds/documents.ts'
import type { Counts } from './counts.ts'
import type { Violations } from '../violations.ts'
import type { SimNode } from './sim-node.ts'

/** A write that its caller was told is safe. */
export type Acknowledged = FeedPosition & { readonly writer: SimNode; readonly hash: string }

/** What a member with a modified program has signed or mutilated, and whether the rules let it pass. */
export type Crafted = { readonly kind: string; readonly mayPass: boolean }

/** Knows what every author really wrote, and holds every node to it at the moment at which it takes something in. */
export class Ledger {
  readonly acknowledged: Acknowledged[] = []
  readonly #made = new Map<string, string>()
  readonly #crafted = new Map<string, Crafted>()
  readonly #violations: Violations
  readonly #counts: Counts
  #hash = ''
  readonly #isHonest: (peer: PeerId) => boolean

  constructor(violations: Violations, counts: Counts, isHonest: (peer: PeerId) => boolean) {
    this.#violations = violations
    this.#counts = counts
    this.#isHonest = isHonest
  }

  /** Of everything that was written, in its order. */
  get hash(): string {
    return this.#hash.slice(0, 16)
  }

  crafted(bytes: Uint8Array, what: Crafted): void {
    this.#crafted.set(hashOf(bytes), what)
  }

  /** Envelopes are about to leave their author. */
  leaving(node: SimNode, appended: readonly AppendedEnvelope[]): void {
    for (const { doc, bytes } of appended) {
      const { seq } = decode(bytes) as { seq: number }
      if (isVolatile(doc) && seq === 1) this.#counts.liveGenerations += 1
      if (!isVolatile(doc) && !node.holds(doc, node.peer, seq, bytes))
        this.#violations.add('M14', `${node.name} tells of ${doc} ${seq} before it is on its disk`)
      this.#make(node, { doc, author: node.peer, seq, bytes })
    }
  }

  /** What a start finds on its disk may leave from then on. */
  started(node: SimNode): void {
    for (const [, authors] of node.disk.state.feeds)
      for (const envelope of authors.get(node.peer) ?? []) this.#make(node, envelope)
  }

  /** Envelopes have become durable on a node. */
  durable(node: SimNode, envelopes: readonly StoredEnvelope[]): void {
    for (const envelope of envelopes) {
      if (envelope.author === node.peer) this.#checkPlace(node, envelope)
      else this.#checkAccepted(node, envelope)
    }
  }

  acknowledge(node: SimNode, position: FeedPosition): void {
    this.#counts.acknowledged += 1
    const { doc, author, seq } = position
    const stored = node.disk.state.feeds.get(doc)?.get(author)?.[seq - 1]
    if (!stored) return this.#violations.add('D7', `${node.name} acknowledges ${doc} ${seq} before it is on its disk`)
    this.acknowledged.push({ ...position, writer: node, hash: hashOf(stored.bytes) })
  }

  #make(node: SimNode, envelope: StoredEnvelope): void {
    this.#checkPlace(node, envelope)
    const hash = hashOf(envelope.bytes)
    this.#made.set(placeOf(envelope), hash)
    this.#hash = hashOf(new TextEncoder().encode(this.#hash + hash))
  }

  #checkPlace(node: SimNode, envelope: StoredEnvelope): void {
    const before = this.#made.get(placeOf(envelope))
    if (before !== undefined && before !== hashOf(envelope.bytes))
      this.#violations.add('M14', `${node.name} uses ${envelope.doc} ${envelope.seq} for two contents`)
  }

  #checkAccepted(node: SimNode, envelope: StoredEnvelope): void {
    const { doc, author, seq, bytes } = envelope
    const what = `${doc} ${seq} of ${node.nameOf(author)}`
    if (this.#isHonest(author)) {
      if (this.#made.get(placeOf(envelope)) !== hashOf(bytes))
        this.#violations.add('M11', `${node.name} accepts ${what}, which its author never wrote`)
      return
    }
    const crafted = this.#crafted.get(hashOf(bytes))
    if (crafted?.mayPass) return
    this.#violations.add('M11', `${node.name} accepts ${what}: ${crafted?.kind ?? 'made by nobody'}`)
  }
}

const placeOf = ({ doc, author, seq }: { doc: DocId; author: PeerId; seq: number }): string => `${doc} ${author} ${seq}`

export const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

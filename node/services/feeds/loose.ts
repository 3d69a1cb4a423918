import { toHex } from '../../../protocols/codec.ts'
import type { Envelope } from '../../../protocols/feed/envelope.ts'
import type { Fork } from './replica.ts'

/**
 * Envelopes of branches that nothing here builds on, in memory: those that come before what builds on them, and what
 * their author makes up.
 */
export const LOOSE_BYTES_MAX = 256 * 1024 * 1024

/**
 * Envelopes of branches that nothing here builds on. When there are too many, those of the fork that has the most go:
 * they come again with what needs them.
 */
export class Loose {
  readonly #bytesMax: number
  readonly #forks = new Map<Fork, { readonly envelopes: Set<Envelope>; bytes: number }>()
  #bytes = 0

  constructor(bytesMax = LOOSE_BYTES_MAX) {
    this.#bytesMax = bytesMax
  }

  of(fork: Fork): ReadonlySet<Envelope> | undefined {
    return this.#forks.get(fork)?.envelopes
  }

  add(fork: Fork, envelope: Envelope): void {
    const held = this.#forks.get(fork) ?? { envelopes: new Set(), bytes: 0 }
    this.#forks.set(fork, held)
    held.envelopes.add(envelope)
    held.bytes += envelope.bytes.byteLength
    this.#bytes += envelope.bytes.byteLength
    if (this.#bytes > this.#bytesMax) this.drop(this.#largest() ?? fork)
  }

  /** Something builds on them now. */
  settle(fork: Fork, envelopes: Iterable<Envelope>): void {
    const held = this.#forks.get(fork)
    for (const envelope of envelopes) {
      if (held?.envelopes.delete(envelope) !== true) continue
      held.bytes -= envelope.bytes.byteLength
      this.#bytes -= envelope.bytes.byteLength
    }
  }

  drop(fork: Fork): void {
    const envelopes = [...(this.#forks.get(fork)?.envelopes ?? [])]
    this.settle(fork, envelopes)
    this.#forks.delete(fork)
    for (const { hash } of envelopes) fork.kept.delete(toHex(hash))
  }

  #largest(): Fork | undefined {
    return [...this.#forks].toSorted(([, a], [, b]) => b.bytes - a.bytes)[0]?.[0]
  }
}

import type { PeerId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import type { PackedEstate } from '../../../protocols/lease/estate.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { VOTERS_MAX } from '../../../protocols/lease/messages.ts'
import type { Signatures } from '../../../protocols/lease/signing.ts'
import type { Voter } from '../../../protocols/lease/voter.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Sink } from './lease-voter-loop.ts'

export type QuickAnswersDeps = {
  readonly voter: Voter
  readonly signatures: Signatures
  readonly estates: KeptEstates
  readonly membership: () => Membership
  /** A voter says that its epoch is sealed and cannot be completed by its voters. */
  readonly stalled: (voter: PeerId, epoch: number) => void
}

/** Whether a message of a node was answered, or needs no answer. */
export type QuickAnswers = (from: PeerId, message: LeaseMessage, sink: Sink) => boolean

/** Answers what needs neither the journal nor a place in its order; false for everything else. */
export function createQuickAnswers(deps: QuickAnswersDeps): QuickAnswers {
  const { voter, signatures, estates, membership, stalled } = deps
  return (from, message, sink) => {
    if (message.t === 'pull') {
      const { estate, page } = message.m
      const bytes = voter.succession.page(estate, page) ?? estates.page(estate, page)
      if (bytes) sink({ t: 'page', m: { estate, page, bytes } })
      return true
    }
    if (message.t === 'stalled') {
      stalled(from, message.m.epoch)
      return true
    }
    if (message.t !== 'ask') return false
    const { incarnation: inc } = voter
    const offer = { v: 1 as const, space: membership().mesh, node: signatures.self, inc }
    if (inc !== undefined) sink({ t: 'candidate', m: signatures.sign('candidate', { ...offer, inc }) })
    return true
  }
}

/** Of a change of voters there is one estate per voter before; the change before the last interests nobody. */
const ESTATES_KEPT_MAX = 2 * VOTERS_MAX

/** What other voters left, by its hash. */
export class KeptEstates {
  readonly #estates = new Map<string, PackedEstate>()

  keep(estate: PackedEstate): void {
    this.#estates.set(toHex(estate.hash), estate)
    const oldest = this.#estates.keys().next()
    if (this.#estates.size > ESTATES_KEPT_MAX && !oldest.done) this.#estates.delete(oldest.value)
  }

  page(hash: Uint8Array, page: number): Uint8Array | undefined {
    return this.#estates.get(toHex(hash))?.pages[page]
  }
}

import type { PeerId } from '../../../crdt/ids.ts'
import type { LeaseMessage, SignedMessage } from '../../../protocols/lease/frame.ts'
import type { Draft, Signatures, Signed } from '../../../protocols/lease/signing.ts'

/** As many as one signature covers. */
const BATCH_MAX = 1024

export type Outgoing = {
  readonly [Message in SignedMessage as Message['t']]: {
    readonly t: Message['t']
    readonly m: Draft<Message['m']['body']>
  }
}[SignedMessage['t']]

/** Signs what is said within one tick with one signature, and sends it. */
export class Outbox {
  readonly #signatures: Signatures
  readonly #send: (to: readonly PeerId[], message: LeaseMessage) => void
  readonly #signed = new WeakMap<Draft<unknown>, Signed<unknown>>()
  #queue: { readonly to: readonly PeerId[]; readonly message: Outgoing }[] = []

  constructor(signatures: Signatures, send: (to: readonly PeerId[], message: LeaseMessage) => void) {
    this.#signatures = signatures
    this.#send = send
  }

  post(to: readonly PeerId[], message: Outgoing): void {
    this.#queue.push({ to, message })
    if (this.#queue.length === 1) queueMicrotask(() => this.#flush())
  }

  /** The draft with the signature it left with; signed now if it has not left yet. */
  signed<T>(draft: Draft<T>): Signed<T> {
    if (!this.#signed.has(draft)) this.#seal([draft])
    // The map keeps each draft's own body.
    return this.#signed.get(draft) as Signed<T>
  }

  #flush(): void {
    const queue = this.#queue
    this.#queue = []
    const drafts = new Set(queue.map(({ message }): Draft<unknown> => message.m))
    const unsigned = [...drafts].filter((draft) => !this.#signed.has(draft))
    for (let at = 0; at < unsigned.length; at += BATCH_MAX) this.#seal(unsigned.slice(at, at + BATCH_MAX))
    for (const { to, message } of queue) {
      // What is said under a name keeps the body of that name.
      this.#send(to, { t: message.t, m: this.#signed.get(message.m) } as SignedMessage)
    }
  }

  #seal(drafts: readonly Draft<unknown>[]): void {
    for (const [i, seal] of this.#signatures.seal(drafts).entries()) {
      const draft = drafts[i]
      if (draft) this.#signed.set(draft, { ...draft, seal })
    }
  }
}

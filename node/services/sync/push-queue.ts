import { batches, encodeSync } from '../../../protocols/sync.ts'

/** New envelopes of this node on their way to everybody: those of one tick become one frame, encoded once for all. */
export class PushQueue {
  readonly #post: (frame: Uint8Array, envelopes: number) => void
  #waiting: Uint8Array[] = []

  constructor(post: (frame: Uint8Array, envelopes: number) => void) {
    this.#post = post
  }

  push(envelopes: readonly Uint8Array[]): void {
    if (this.#waiting.length === 0) queueMicrotask(() => this.flush())
    this.#waiting.push(...envelopes)
  }

  flush(): void {
    for (const batch of batches(this.#waiting.splice(0)))
      this.#post(encodeSync({ t: 'envelopes', envelopes: batch, more: false }), batch.length)
  }
}

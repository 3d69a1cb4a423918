import type { PeerId } from '../../../crdt/ids.ts'
import type { Clock } from '../../../node/ports/clock.ts'
import type { FeedPosition } from '../../../node/services/feeds/documents.ts'
import { meshDoc } from '../../../crdt/ids.ts'
import type { Prng } from '../ports/prng.ts'
import type { VirtualTime } from '../ports/virtual-time.ts'

/** Stands for the replicated documents: what is written somewhere arrives everywhere after a while. */
export class Arrivals {
  readonly #time: VirtualTime
  readonly #prng: Prng
  readonly #arrivalMs: number
  /** When the write with that number, from 1, is everywhere. */
  readonly #dueMs: number[] = [0]

  constructor(time: VirtualTime, prng: Prng, arrivalMs: number) {
    this.#time = time
    this.#prng = prng
    this.#arrivalMs = arrivalMs
  }

  /** A write under a lease, whose position its release hands on. */
  write(author: PeerId): FeedPosition {
    const seq = this.#dueMs.push(this.#time.nowMs + this.#prng.between(0, 2 * this.#arrivalMs)) - 1
    return { doc: meshDoc, author, seq }
  }

  reached({ seq }: FeedPosition, signal: AbortSignal, clock: Clock): Promise<boolean> {
    const leftMs = (this.#dueMs[seq] ?? 0) - this.#time.nowMs
    if (leftMs <= 0) return Promise.resolve(true)
    return new Promise((resolve) => {
      const cancel = clock.after(leftMs, () => resolve(true))
      const giveUp = (): void => {
        cancel()
        resolve(false)
      }
      if (signal.aborted) giveUp()
      else signal.addEventListener('abort', giveUp, { once: true })
    })
  }
}

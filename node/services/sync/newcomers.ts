import type { PeerId } from '../../../crdt/ids.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'

/** New connections introduce themselves first; then what was learnt is passed on, once for all of them. */
const TELL_AFTER_MS = 2000

/** Who has connected a moment ago, and where the others do not know yet. */
export class Newcomers {
  readonly #clock: Clock
  readonly #tellOf: (newcomers: ReadonlySet<PeerId>) => void
  #peers = new Set<PeerId>()
  #cancel: Cancel | undefined

  constructor(clock: Clock, tellOf: (newcomers: ReadonlySet<PeerId>) => void) {
    this.#clock = clock
    this.#tellOf = tellOf
  }

  add(peer: PeerId): void {
    this.#peers.add(peer)
    this.#cancel ??= this.#clock.after(TELL_AFTER_MS, () => {
      const newcomers = this.#peers
      this.#peers = new Set()
      this.#cancel = undefined
      this.#tellOf(newcomers)
    })
  }

  stop(): void {
    this.#cancel?.()
  }
}

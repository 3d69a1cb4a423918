import type { PeerId } from '../../crdt/ids.ts'
import type { Cancel, Clock } from '../ports/clock.ts'

/** Both sides have just told each other their addresses over the relay. */
const FIRST_MS = 500
/** News bring the next try forward, at most this often: each is a dial of up to twelve addresses on the member's word. */
const HURRY_EVERY_MS = 5000
const AGAIN_FIRST_MS = 15_000
/** A NAT that lets nothing in seldom changes its mind; one that was replaced should not be waited for all day. */
const AGAIN_MAX_MS = 10 * 60_000

export type DirectUpgradeDeps = {
  readonly clock: Clock
  /** Connected, and by relays only. */
  readonly isRelayed: (peer: PeerId) => boolean
  /** Never rejects. */
  readonly tryDirect: (peer: PeerId) => Promise<void>
}

type Waiting = { tries: number; isTrying: boolean; lastTryMs: number; dueMs: number; cancel: Cancel | undefined }

/** Keeps trying to do without the relay, for members that are connected through one. */
export class DirectUpgrade {
  readonly #deps: DirectUpgradeDeps
  readonly #waiting = new Map<PeerId, Waiting>()

  constructor(deps: DirectUpgradeDeps) {
    this.#deps = deps
  }

  stop(): void {
    for (const { cancel } of this.#waiting.values()) cancel?.()
    this.#waiting.clear()
  }

  /** The member has just been connected, or has said something new about where it is. */
  hurry(peer: PeerId): void {
    if (!this.#deps.isRelayed(peer)) return
    const waiting = this.#waiting.get(peer) ?? {
      tries: 0,
      isTrying: false,
      lastTryMs: -Infinity,
      dueMs: Infinity,
      cancel: undefined,
    }
    this.#waiting.set(peer, waiting)
    waiting.tries = 0
    const dueMs = Math.max(this.#deps.clock.monoMs() + FIRST_MS, waiting.lastTryMs + HURRY_EVERY_MS)
    if (!waiting.isTrying && dueMs < waiting.dueMs) this.#arm(peer, waiting, dueMs)
  }

  #arm(peer: PeerId, waiting: Waiting, dueMs: number): void {
    const { clock } = this.#deps
    waiting.cancel?.()
    waiting.dueMs = dueMs
    waiting.cancel = clock.after(dueMs - clock.monoMs(), () => void this.#try(peer, waiting))
  }

  async #try(peer: PeerId, waiting: Waiting): Promise<void> {
    const { clock } = this.#deps
    waiting.cancel = undefined
    waiting.dueMs = Infinity
    if (this.#deps.isRelayed(peer)) {
      waiting.isTrying = true
      waiting.tries++
      waiting.lastTryMs = clock.monoMs()
      await this.#deps.tryDirect(peer)
      waiting.isTrying = false
    }
    if (!this.#deps.isRelayed(peer)) this.#waiting.delete(peer)
    else if (this.#waiting.get(peer) === waiting)
      this.#arm(
        peer,
        waiting,
        clock.monoMs() + Math.min(AGAIN_MAX_MS, AGAIN_FIRST_MS * 2 ** Math.min(waiting.tries - 1, 10)),
      )
  }
}

import type { PeerId } from '../../../crdt/ids.ts'
import { HEARD_MAX } from '../../../protocols/sync.ts'
import { every, type Cancel, type Clock } from '../../ports/clock.ts'
import type { SyncLink } from './sync-link.ts'

/**
 * One and a half heartbeat periods of a mesh in which all are connected. The connection may be open still: that it is dead
 * in one direction is known much later.
 */
const HEARD_MS = 7500
const LOOK_EVERY_MS = 1000

export type HearingDeps = {
  readonly clock: Clock
  readonly links: () => Iterable<SyncLink>
  /** Whether what is news is passed on to everybody anyway, so that nobody has to know who is heard. */
  readonly passesOn: () => boolean
  /** Somebody has fallen silent: what it said meanwhile is with those that are heard. */
  readonly onSilence: (heard: readonly PeerId[]) => void
}

/** Whom this node hears itself, which it tells those it is connected with; and whom they say that they hear. */
export class Hearing {
  readonly #deps: HearingDeps
  readonly #heardMs = new Map<PeerId, number>()
  readonly #theirs = new Map<PeerId, ReadonlySet<PeerId>>()
  readonly #told = new Map<PeerId, string>()
  #heard: readonly PeerId[] = []

  constructor(deps: HearingDeps) {
    this.#deps = deps
  }

  start(): Cancel {
    return every(this.#deps.clock, LOOK_EVERY_MS, () => this.#look())
  }

  /** Something has come from the member itself, its connection to begin with. */
  heard(peer: PeerId): void {
    this.#heardMs.set(peer, this.#deps.clock.monoMs())
  }

  /** What was told on an earlier channel may not have come. */
  greeted(peer: PeerId): void {
    this.#told.delete(peer)
  }

  forget(peer: PeerId): void {
    this.#heardMs.delete(peer)
    this.#theirs.delete(peer)
    this.#told.delete(peer)
  }

  /** A connected member says whom it hears. */
  learnt(peer: PeerId, heard: readonly PeerId[]): void {
    this.#theirs.set(peer, new Set(heard))
  }

  /** Whether `peer` does not hear `from`, as far as it has said. */
  lacks(peer: PeerId, from: PeerId): boolean {
    return this.#theirs.get(peer)?.has(from) === false
  }

  #look(): void {
    const { clock, links, passesOn, onSilence } = this.#deps
    if (passesOn()) return
    const sinceMs = clock.monoMs() - HEARD_MS
    const before = this.#heard
    const heard = [...this.#heardMs].flatMap(([peer, ms]) => (ms > sinceMs ? [peer] : [])).toSorted()
    this.#heard = heard.slice(0, HEARD_MAX)
    const told = this.#heard.join()
    for (const link of links()) {
      if (!link.isOpen || this.#told.get(link.peer) === told) continue
      this.#told.set(link.peer, told)
      link.say({ t: 'hears', peers: this.#heard })
    }
    if (before.some((peer) => !this.#heard.includes(peer))) onSilence(this.#heard)
  }
}

import type { PeerId } from '../../../crdt/ids.ts'
import { batches, encodeSync } from '../../../protocols/sync.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { SyncLink } from './sync-link.ts'

/** Heartbeats are passed on together: several hops of it still take less than half of a large mesh's heartbeat period. */
const BEATS_TOGETHER_MS = 1000
/** What came so long ago comes by way of anti-entropy again, and must get through then. */
const RECENT_MS = 5000
/** Together 8 MB, whoever sends what; larger ones are rare. */
const REMEMBERED_BYTES_MAX = 1024
const REMEMBERED_MAX = 4096

const LATIN1 = new TextDecoder('latin1')

export type PassingOnDeps = {
  readonly clock: Clock
  readonly links: () => Iterable<SyncLink>
  /** False in a full mesh: everybody hears of everything from its author. */
  readonly isNeeded: () => boolean
  /** Whether that member does not hear the other one, though both should be connected. */
  readonly lacks: (peer: PeerId, from: PeerId) => boolean
}

/**
 * Passes on what is news here. Where not everybody is connected with everybody, each piece goes once to every link but the
 * one it came from. So it comes to each node several times; all but the first cost next to nothing. Where all are connected,
 * it goes to those that do not hear whom it came from: their connection is dead, maybe in one direction only.
 */
export class PassingOn {
  readonly #deps: PassingOnDeps
  /** What came within the last `RECENT_MS`, or twice that. */
  #recent: [now: Set<string>, before: Set<string>] = [new Set(), new Set()]
  #turnedMs = -Infinity
  #beats: { readonly bytes: Uint8Array; readonly key: string; readonly from: PeerId }[] = []
  /** Heartbeats that a peer has shown to have, since the last were passed on. */
  readonly #shown = new Map<PeerId, Set<string>>()
  #cancel: Cancel | undefined

  constructor(deps: PassingOnDeps) {
    this.#deps = deps
  }

  stop(): void {
    this.#cancel?.()
  }

  /** Those that have not come from anybody a moment ago. */
  fresh(envelopes: readonly Uint8Array[]): readonly Uint8Array[] {
    return this.#deps.isNeeded() ? envelopes.filter((bytes) => this.#isFirst(keyOf(bytes))) : envelopes
  }

  envelopes(news: readonly Uint8Array[], from: PeerId): void {
    const links = [...this.#deps.links()].filter(({ peer }) => this.#isFor(peer, from))
    if (links.length === 0) return
    for (const envelopes of batches(news)) {
      const frame = encodeSync({ t: 'envelopes', envelopes, more: false })
      for (const link of links) link.post(frame)
    }
  }

  /** Takes those that have not come a moment ago; what `receive` calls news goes on to the others. */
  beats(beats: readonly Uint8Array[], from: PeerId, receive: (beat: Uint8Array) => boolean): void {
    for (const bytes of beats) {
      const key = keyOf(bytes)
      const shown = this.#shownBy(from)
      if (shown.size < REMEMBERED_MAX) shown.add(key)
      if (!this.#isFirst(key) || !receive(bytes)) continue
      if (![...this.#deps.links()].some((link) => this.#isFor(link.peer, from))) continue
      this.#beats.push({ bytes, key, from })
      this.#cancel ??= this.#deps.clock.after(BEATS_TOGETHER_MS, () => this.#passBeatsOn())
    }
  }

  #passBeatsOn(): void {
    this.#cancel = undefined
    const beats = this.#beats.splice(0)
    for (const link of this.#deps.links()) {
      const shown = this.#shown.get(link.peer)
      const isNews = ({ key, from }: { key: string; from: PeerId }): boolean =>
        shown?.has(key) !== true && this.#isFor(link.peer, from)
      const news = beats.filter(isNews).map(({ bytes }) => bytes)
      for (const batch of batches(news)) link.post(encodeSync({ t: 'beats', beats: batch }))
    }
    this.#shown.clear()
  }

  #isFor(peer: PeerId, from: PeerId): boolean {
    return peer !== from && (this.#deps.isNeeded() || this.#deps.lacks(peer, from))
  }

  #shownBy(peer: PeerId): Set<string> {
    const shown = this.#shown.get(peer) ?? new Set()
    this.#shown.set(peer, shown)
    return shown
  }

  #isFirst(key: string): boolean {
    this.#forgetOld()
    const [now, before] = this.#recent
    const isKnown = now.has(key) || before.has(key)
    if (key !== '') now.add(key)
    return !isKnown
  }

  #forgetOld(): void {
    const nowMs = this.#deps.clock.monoMs()
    const ageMs = nowMs - this.#turnedMs
    const [now] = this.#recent
    if (ageMs <= RECENT_MS && now.size < REMEMBERED_MAX) return
    this.#recent = [new Set(), ageMs > 2 * RECENT_MS ? new Set() : now]
    this.#turnedMs = nowMs
  }
}

/** Empty for what is not remembered. */
const keyOf = (bytes: Uint8Array): string => (bytes.byteLength > REMEMBERED_BYTES_MAX ? '' : LATIN1.decode(bytes))

import type { PeerId } from '../../crdt/ids.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Channel } from '../ports/peer-network.ts'
import { encodeIntroduction, readIntroduction, type Introduction, type News, type Own } from './introduction.ts'

/** A member that accepts the stream and says nothing is not waited for. */
const INTRODUCTION_MS = 5000
/** What changes within this time is told once. */
const ANNOUNCE_AFTER_MS = 250
/** News of others wait for so long after the last: one that has news all the time would have everybody tell everybody. */
const NEWS_APART_MS = 5000

export type IntroductionDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly open: (peer: PeerId, signal: AbortSignal) => Promise<Channel>
  readonly connected: () => readonly PeerId[]
  /** What this node says of itself to this peer. */
  readonly own: (peer: PeerId) => Own
  readonly onIntroduced: (peer: PeerId, introduction: Introduction) => void
}

/** Tells members where this node is, at once when that changes, and what it has just heard of others. */
export class Introductions {
  readonly #deps: IntroductionDeps
  #news = new Map<PeerId, readonly string[]>()
  #isChanged = false
  #toldNewsMs = -Infinity
  #telling: { readonly dueMs: number; readonly cancel: Cancel } | undefined

  constructor(deps: IntroductionDeps) {
    this.#deps = deps
  }

  stop(): void {
    this.#telling?.cancel()
  }

  /** Both sides say who they are. */
  async exchange(channel: Channel, news: News = []): Promise<void> {
    const { own, onIntroduced } = this.#deps
    const others = news.filter(([peer]) => peer !== channel.peer)
    await channel.send(encodeIntroduction(own(channel.peer), others))
    onIntroduced(channel.peer, await readIntroduction(channel))
  }

  /** Tells whether the member answered: one that does not within seconds is not there any more. Never rejects. */
  async introduce(peer: PeerId, news: News = []): Promise<boolean> {
    const giveUp = new AbortController()
    const cancel = this.#deps.clock.after(INTRODUCTION_MS, () => giveUp.abort(new Error('no introduction in time')))
    let channel: Channel | undefined
    const abort = (): void => channel?.abort(new Error('no introduction in time'))
    giveUp.signal.addEventListener('abort', abort, { once: true })
    try {
      channel = await this.#deps.open(peer, giveUp.signal)
      await this.exchange(channel, news)
      await channel.close()
      return true
    } catch (error) {
      this.#deps.log.debug({ peer, error: String(error) }, 'member did not introduce itself')
      return !giveUp.signal.aborted
    } finally {
      cancel()
    }
  }

  /** Something about this node has changed: every connected member is told, soon. */
  announce(): void {
    this.#isChanged = true
    this.#tellAt(this.#deps.clock.monoMs() + ANNOUNCE_AFTER_MS)
  }

  /** A member is found somewhere else than before: every other connected one is told, soon. */
  passOn(peer: PeerId, addresses: readonly string[]): void {
    this.#news.set(peer, addresses)
    this.#tellAt(Math.max(this.#deps.clock.monoMs() + ANNOUNCE_AFTER_MS, this.#toldNewsMs + NEWS_APART_MS))
  }

  #tellAt(dueMs: number): void {
    if (this.#telling !== undefined && this.#telling.dueMs <= dueMs) return
    const { clock } = this.#deps
    this.#telling?.cancel()
    this.#telling = { dueMs, cancel: clock.after(dueMs - clock.monoMs(), () => this.#tell()) }
  }

  #tell(): void {
    const [news, isChanged] = [[...this.#news], this.#isChanged]
    this.#telling = undefined
    this.#news.clear()
    this.#isChanged = false
    if (news.length > 0) this.#toldNewsMs = this.#deps.clock.monoMs()
    for (const peer of this.#deps.connected())
      if (isChanged || news.some(([about]) => about !== peer)) void this.introduce(peer, news)
  }
}

import type { PeerId } from '../../../crdt/ids.ts'
import {
  batches,
  decodeSync,
  encodeSync,
  SYNC_FRAME_BYTES_MAX,
  SYNC_PROTOCOL,
  SYNC_VERSIONS,
  vectorParts,
  VectorsReader,
  versionProblem,
  type SyncMessage,
} from '../../../protocols/sync.ts'
import { every, type Cancel } from '../../ports/clock.ts'
import { NO_METRICS, type Metrics } from '../../ports/metrics.ts'
import type { Channel } from '../../ports/peer-network.ts'
import { randomFraction } from '../../ports/random.ts'
import { answerMoved, answerStanding, latestOnly, sendRecords, whereOthersAre, type Standing } from './sync-answer.ts'
import { createSyncBudget, misconductIn, type SyncBudget } from './sync-budget.ts'
import { createContentCheck, type ContentCheck } from './sync-content.ts'
import { Hearing } from './hearing.ts'
import { Newcomers } from './newcomers.ts'
import { PassingOn } from './passing-on.ts'
import { PushQueue } from './push-queue.ts'
import type { SyncDeps } from './sync-deps.ts'
import { createSyncLag, type SyncLag } from './sync-lag.ts'
import { SyncLink } from './sync-link.ts'

/** How often one random connected member is asked what it has and lacks. */
const ANTI_ENTROPY_MS = 30_000
/** How often a member is told that its heartbeat has come, for its round trip: each time wakes it up. */
const ECHO_EVERY_MS = 30_000
/** A member that takes nothing any more does not hold up the end; it learns of what it missed later. */
const FLUSH_MS = 500

export type SyncService = {
  start(): void
  /** Flushes what is queued, for a moment at most, and closes the channels. To be called before the network stops. */
  stop(): Promise<void>
  /** Why a connected member cannot be synchronised with (another protocol version), for `rookery status`. */
  problems(): ReadonlyMap<PeerId, string>
  readonly lag: Pick<SyncLag, 'members' | 'documents'>
  /** Bytes that wait for each connected member. */
  outboxes(): ReadonlyMap<PeerId, number>
}

/** What is known about a member while it is connected, and no longer. */
type Peer = {
  readonly link: SyncLink
  readonly reader: VectorsReader
  /** The next vectors ask for the other side's as well (anti-entropy) or not (both sides have just connected). */
  ask: boolean
  /** Membership logs have been compared on this connection: what is new since is pushed. */
  hasCompared: boolean
  /** Envelopes were applied since we last said where we stand. */
  hasProgressed: boolean
  /** When the next heartbeat of the member is answered. */
  echoDueMs: number
  readonly answerHeads: (heads: readonly Uint8Array[]) => void
  readonly answerVectors: (standing: Standing) => void
}

/**
 * Keeps replicas equal: new envelopes and membership records go to every connected member at once; on connect and then
 * every 30 s with a random one, both sides compare where they stand and send what the other lacks. Only the latter is
 * relied on: what is pushed may be dropped for a slow peer. In a mesh too large for everybody to be connected with
 * everybody, envelopes and heartbeats that are news here are passed on, once, to all but their sender; in a smaller one,
 * to whom says that it does not hear their sender.
 */
export function createSync(deps: SyncDeps): SyncService {
  const sync = new Sync(deps)
  deps.network.handle(
    SYNC_PROTOCOL,
    { policy: { who: 'member', capability: 'store' }, frameBytesMax: SYNC_FRAME_BYTES_MAX, channelsPerPeerMax: 4 },
    (channel) => sync.serve(channel),
  )
  return sync
}

class Sync implements SyncService {
  readonly lag: SyncLag
  readonly #deps: SyncDeps
  readonly #metrics: Metrics
  readonly #peers = new Map<PeerId, Peer>()
  readonly #problems = new Map<PeerId, string>()
  readonly #cancels: Cancel[] = []
  readonly #contents: ContentCheck
  readonly #budget: SyncBudget
  readonly #hearing: Hearing
  readonly #passingOn: PassingOn
  readonly #newcomers: Newcomers
  readonly #pushing = new PushQueue((frame, envelopes) => {
    this.#metrics.count('rookery_envelopes_sent_total', { why: 'push' }, envelopes * this.#peers.size)
    this.#broadcast(frame)
  })
  #announcedHeads: readonly Uint8Array[] = []

  constructor(deps: SyncDeps) {
    this.#deps = deps
    this.#metrics = deps.metrics ?? NO_METRICS
    this.lag = createSyncLag(deps)
    this.#contents = createContentCheck(deps)
    this.#budget = createSyncBudget({
      clock: deps.clock,
      busyMs: deps.busyMs ?? (() => deps.clock.monoMs()),
      onExceeded: (peer) => deps.onMisconduct?.(peer, 'takes up too much of this node with what it sends: slowed down'),
    })
    this.#newcomers = new Newcomers(deps.clock, (newcomers) => this.#tellOf(newcomers))
    const links = (): SyncLink[] => this.#links()
    this.#hearing = new Hearing({ ...deps, links, onSilence: (heard) => this.#meetNeighbour(heard) })
    this.#passingOn = new PassingOn({
      clock: deps.clock,
      links,
      isNeeded: deps.passesOn,
      lacks: (peer, from) => this.#hearing.lacks(peer, from),
    })
  }

  start(): void {
    const { network, feeds, membership, presence, clock } = this.#deps
    this.#announcedHeads = membership.heads()
    this.#cancels.push(
      network.onConnect((peer) => this.#connected(peer)),
      network.onDisconnect((peer) => this.#disconnected(peer)),
      feeds.onAppend((envelopes) => this.#pushing.push(envelopes.map(({ bytes }) => bytes))),
      feeds.onFrozen((_author, _reason, proof) => this.#pushing.push(proof)),
      feeds.onFork((proof) => this.#pushing.push(proof)),
      membership.onChange(() => this.#pushRecords()),
      every(clock, ANTI_ENTROPY_MS, () => this.#meetNeighbour()),
      this.#hearing.start(),
    )
    if (presence !== undefined)
      this.#cancels.push(presence.onBeat((beat) => this.#broadcast(encodeSync({ t: 'beat', beat }))))
    for (const peer of network.connected()) this.#connected(peer)
  }

  async stop(): Promise<void> {
    this.#pushing.flush()
    for (const cancel of this.#cancels.splice(0)) cancel()
    this.#newcomers.stop()
    this.#passingOn.stop()
    const links = this.#links()
    this.#peers.clear()
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const cancelWaiting = this.#deps.clock.after(FLUSH_MS, resolve)
    await Promise.race([Promise.all(links.map((link) => link.close())), late])
    cancelWaiting()
  }

  problems(): ReadonlyMap<PeerId, string> {
    return this.#problems
  }

  outboxes(): ReadonlyMap<PeerId, number> {
    return new Map([...this.#peers].map(([id, { link }]) => [id, link.waitingBytes]))
  }

  async serve(channel: Channel): Promise<void> {
    const known = this.#peers.get(channel.peer)
    known?.link.hurry()
    for await (const frame of channel.frames) {
      const message = decodeSync(frame)
      const peer = this.#peers.get(channel.peer)
      if (peer === undefined) {
        // Not connected yet, as far as the network has told us: the member will try again. Or not any more: a goodbye counts.
        if (known === undefined) return
        if (message?.t === 'beat') this.#deps.presence?.receive(message.beat, channel.peer)
        continue
      }
      this.#hearing.heard(channel.peer)
      if (message !== undefined) await this.#budget.spend(channel.peer, () => this.#onMessage(peer, message))
      await this.#budget.ready(channel.peer)
    }
  }

  #connected(id: PeerId): void {
    if (this.#peers.has(id)) return
    const onDrop = (): void => this.#metrics.count('rookery_sync_dropped_frames_total', {})
    const onCaughtUp = (): void => this.#beginRound(id, true)
    const link = new SyncLink({ ...this.#deps, onOpen: () => this.#greet(id), onCaughtUp, onDrop }, id)
    const { feeds, membership, clock, log } = this.#deps
    const onSent = (n: number): void => this.#metrics.count('rookery_envelopes_sent_total', { why: 'answer' }, n)
    this.#peers.set(id, {
      link,
      reader: new VectorsReader(),
      ask: false,
      hasCompared: false,
      hasProgressed: false,
      echoDueMs: -Infinity,
      answerHeads: latestOnly((heads) => sendRecords(membership, heads, link), log),
      answerVectors: answerMoved((standing) => answerStanding(feeds, standing, { link, onSent }), clock, log),
    })
    this.#hearing.heard(id)
    link.hurry()
    this.#newcomers.add(id)
  }

  #disconnected(id: PeerId): void {
    const peer = this.#peers.get(id)
    this.#peers.delete(id)
    this.#problems.delete(id)
    this.#budget.forget(id)
    this.lag.forget(id)
    this.#hearing.forget(id)
    if (peer !== undefined) void peer.link.close()
  }

  #greet(id: PeerId): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    const beat = this.#deps.presence?.greeting(id)
    this.#hearing.greeted(id)
    peer.link.say({ t: 'hello', versions: [...SYNC_VERSIONS] })
    if (beat !== undefined) peer.link.say({ t: 'beat', beat })
    this.#tellPeers(peer)
    this.#beginRound(id, false)
  }

  /** Membership first: envelopes of an author are of no use to who does not know it as a member. */
  #beginRound(id: PeerId, ask: boolean): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    peer.ask = ask
    peer.link.say({ t: 'heads', heads: [...this.#deps.membership.heads()] })
  }

  #meetNeighbour(among?: readonly PeerId[]): void {
    const open = [...this.#peers.values()].filter(({ link }) => link.isOpen && among?.includes(link.peer) !== false)
    const peer = open[Math.floor(randomFraction(this.#deps.random) * open.length)]
    if (peer === undefined) return
    this.#tellPeers(peer)
    this.#beginRound(peer.link.peer, true)
  }

  /** Envelopes that are new are what this is for; whatever else it is, there is little of it in an honest mesh. */
  async #onMessage(peer: Peer, message: SyncMessage): Promise<'useful' | 'in vain'> {
    if (message.t === 'envelopes') return await this.#receive(peer, message)
    await this.#onQuestion(peer, message)
    return 'in vain'
  }

  async #onQuestion(peer: Peer, message: Exclude<SyncMessage, { t: 'envelopes' }>): Promise<void> {
    const { presence } = this.#deps
    const from = peer.link.peer
    switch (message.t) {
      case 'hello':
        return this.#checkVersion(from, message.versions)
      case 'heads':
        return peer.answerHeads(message.heads)
      case 'records':
        if (message.records.length > 0) await this.#deps.membership.receive(message.records)
        return message.last ? this.#compared(peer) : undefined
      case 'vectors': {
        const theirs = peer.reader.push(message)
        if (!theirs) return
        this.lag.heard(from, theirs, message.frozen)
        if (message.ask) this.#sendVectors(peer, false)
        peer.answerVectors({ theirs, frozen: message.frozen })
        return this.#contents.offer(theirs, (claim) => peer.link.say(claim))
      }
      case 'hash':
        return this.#contents.compare(from, message)
      case 'beat':
        if (peer.hasCompared) this.#deps.onHeard?.(from)
        return this.#passingOn.beats([message.beat], from, (bytes) => {
          const beat = presence?.receive(bytes, from)
          if (beat?.peer === from && this.#isEchoDue(peer)) {
            peer.link.say({ t: 'echo', boot: beat.boot, counter: beat.counter })
          }
          return beat !== undefined
        })
      case 'beats':
        return this.#passingOn.beats(message.beats, from, (beat) => presence?.receive(beat, from) !== undefined)
      case 'echo':
        return presence?.echoed(from, message)
      case 'hears':
        return this.#hearing.learnt(from, message.peers)
      case 'peers':
        for (const [id, addresses] of message.peers) this.#deps.addresses?.learn(id, addresses, from)
    }
  }

  #isEchoDue(peer: Peer): boolean {
    const nowMs = this.#deps.clock.monoMs()
    if (nowMs < peer.echoDueMs) return false
    // The first one is in a queue with all that a new connection brings: the next one is measured, too.
    peer.echoDueMs = peer.echoDueMs === -Infinity ? nowMs : nowMs + ECHO_EVERY_MS
    return true
  }

  #compared(peer: Peer): void {
    peer.hasCompared = true
    this.#deps.onHeard?.(peer.link.peer)
    this.#sendVectors(peer, peer.ask)
  }

  #checkVersion(from: PeerId, versions: readonly number[]): void {
    const problem = versionProblem(versions)
    if (problem === undefined) return
    this.#problems.set(from, problem)
    this.#deps.log.warn({ peer: from }, `member ${problem}`)
  }

  #sendVectors(peer: Peer, ask: boolean): void {
    const { feeds } = this.#deps
    peer.hasProgressed = false
    for (const part of vectorParts(feeds.vectors(), [...feeds.frozen().keys()], ask)) peer.link.say(part)
  }

  async #receive(peer: Peer, message: Extract<SyncMessage, { t: 'envelopes' }>): Promise<'useful' | 'in vain'> {
    const from = peer.link.peer
    const envelopes = this.#passingOn.fresh(message.envelopes)
    const { applied, news, refused } = await this.#deps.feeds.receive(envelopes, from)
    if (applied > 0) peer.hasProgressed = true
    this.#passingOn.envelopes(news, from)
    const [first] = refused
    if (first !== undefined) {
      this.#deps.log.warn({ peer: from, count: refused.length, ...first }, 'envelopes refused')
      const misconduct = misconductIn(refused, from)
      if (misconduct) this.#deps.onMisconduct?.(from, misconduct)
    }
    // Without progress the same envelopes would come again, and again.
    if (message.more && peer.hasProgressed) this.#sendVectors(peer, false)
    return applied >= envelopes.length / 2 ? 'useful' : 'in vain'
  }

  #pushRecords(): void {
    const { membership } = this.#deps
    const records = membership.after(this.#announcedHeads)
    this.#announcedHeads = membership.heads()
    for (const batch of batches(records)) this.#broadcast(encodeSync({ t: 'records', records: batch, last: false }))
  }

  /** Of them only: a member that comes and goes would have everybody tell everybody about everybody each time. */
  #tellOf(newcomers: ReadonlySet<PeerId>): void {
    const known = [...(this.#deps.addresses?.knownPeers() ?? [])].filter(([id]) => newcomers.has(id))
    for (const peer of this.#peers.values()) this.#tellPeers(peer, new Map(known))
  }

  #tellPeers(peer: Peer, known = this.#deps.addresses?.knownPeers() ?? new Map<PeerId, readonly string[]>()): void {
    const message = whereOthersAre(known, peer.link.peer)
    if (message) peer.link.say(message)
  }

  #links(): SyncLink[] {
    return [...this.#peers.values()].map(({ link }) => link)
  }

  #broadcast(frame: Uint8Array): void {
    for (const link of this.#links()) link.post(frame)
  }
}

import type { PeerId } from '../../../crdt/ids.ts'
import type { Channel, PeerNetwork, ProtocolOptions } from '../../../node/ports/peer-network.ts'
import { never, type Life } from './life.ts'
import type { Prng } from './prng.ts'
import { pairChannels, type ChannelEnd } from './sim-channel.ts'
import type { VirtualTime } from './virtual-time.ts'

export type NetworkFaults = {
  /** Typical one-way latency; each frame takes between half and one and a half of it. */
  readonly latencyMs: number
  readonly dropRate: number
  readonly duplicateRate: number
  /** So many frames, and so many of the duplicates, take up to `LATE_MS_MAX`. */
  readonly lateRate: number
}

export const NO_FAULTS: NetworkFaults = { latencyMs: 2, dropRate: 0, duplicateRate: 0, lateRate: 0 }

export type NetworkCounts = { sent: number; dropped: number; duplicated: number; late: number }

const LATE_MS_MAX = 30_000
const LATE_DUPLICATE_RATE = 0.3
/** A handshake or an end that cannot get through is tried again by the transport underneath. */
const TRANSPORT_RETRY_MS = 500

type Served = { readonly options: ProtocolOptions; readonly serve: (channel: Channel) => Promise<void> }

/** One process as the network sees it. */
type Endpoint = {
  readonly peer: PeerId
  readonly life: Life
  readonly mayOpen: (from: PeerId, options: ProtocolOptions) => boolean
  readonly served: Map<string, Served>
  readonly channels: Set<ChannelEnd>
  readonly connected: Set<PeerId>
  readonly onConnect: Set<(peer: PeerId) => void>
  readonly onDisconnect: Set<(peer: PeerId) => void>
}

/**
 * Channels that are worse than any real transport: single frames vanish, come twice, or overtake each other, while the
 * channel stays open. Handshakes and the end of a channel get through as soon as there is a way, as with real streams.
 */
export class SimNetwork {
  readonly counts: NetworkCounts = { sent: 0, dropped: 0, duplicated: 0, late: 0 }
  /** Sees every frame that leaves a process. */
  observe: (from: PeerId, frame: Uint8Array, to: PeerId) => void = () => undefined
  faults: NetworkFaults
  /** Protocols whose channels behave as the streams of real transports: in order, and nothing is lost while they last. */
  isStream: (protocol: string) => boolean = () => false
  readonly #time: VirtualTime
  readonly #prng: Prng
  readonly #endpoints = new Map<PeerId, Endpoint>()
  /** `<from> <to>`: nothing gets through in this direction. */
  readonly #cuts = new Map<string, number>()
  readonly #undo = new Set<() => void>()
  /** Of each channel that is being opened: stops listening to the signal. */
  readonly #opening = new Set<() => void>()
  /** What is under way on a stream, per sending side. */
  readonly #underWay = new WeakMap<ChannelEnd, { readonly dueMs: number; readonly arrive: () => void }[]>()
  /** What waits for a suspended host to wake up. */
  readonly #suspended = new Map<PeerId, (() => void)[]>()

  constructor(time: VirtualTime, prng: Prng, faults: NetworkFaults) {
    this.#time = time
    this.#prng = prng
    this.faults = faults
  }

  /** The port of a new process. `mayOpen` stands for the membership check of the real adapter. */
  join(peer: PeerId, life: Life, mayOpen: Endpoint['mayOpen']): PeerNetwork {
    const sets = { channels: new Set<ChannelEnd>(), connected: new Set<PeerId>() }
    const listeners = { onConnect: new Set<(peer: PeerId) => void>(), onDisconnect: new Set<(peer: PeerId) => void>() }
    const mine: Endpoint = { peer, life, mayOpen, served: new Map(), ...sets, ...listeners }
    this.#endpoints.set(peer, mine)
    for (const other of this.#endpoints.values()) this.#reconsider(mine, other)
    return {
      self: peer,
      connected: () => [...mine.connected],
      mayBeReached: (other) => mine.connected.has(other),
      onConnect: (listener) => subscribe(mine.onConnect, listener),
      onDisconnect: (listener) => subscribe(mine.onDisconnect, listener),
      open: (to, protocol, signal) => this.#open(mine, { to, protocol, signal }),
      handle: (protocol, options, serve) => void mine.served.set(protocol, { options, serve }),
    }
  }

  /** The process has ended. Its peers hear of it when the host answers for it again, or a little later. */
  leave(peer: PeerId): void {
    this.#suspended.delete(peer)
    const gone = this.#endpoints.get(peer)
    if (!gone) return
    this.#endpoints.delete(peer)
    for (const other of gone.connected) this.#disconnected(this.#endpoints.get(other), peer)
    for (const { other } of gone.channels) this.#reliably(peer, other.owner.peer, () => other.end(LOST))
  }

  /** The world has ended. Node keeps a signal that follows others, and all that listens to it, as long as they may abort. */
  close(): void {
    for (const forget of this.#opening) forget()
  }

  suspend(peer: PeerId): void {
    if (!this.#suspended.has(peer)) this.#suspended.set(peer, [])
  }

  resume(peer: PeerId): void {
    const waiting = this.#suspended.get(peer) ?? []
    this.#suspended.delete(peer)
    for (const arrive of waiting) arrive()
  }

  /** Cuts links until undone. Cuts may overlap: each has to be undone. */
  cut(links: readonly (readonly [from: PeerId, to: PeerId])[]): () => void {
    for (const [from, to] of links) this.#cut(from, to, 1)
    const undo = (): void => {
      if (!this.#undo.delete(undo)) return
      for (const [from, to] of links) this.#cut(from, to, -1)
    }
    this.#undo.add(undo)
    return undo
  }

  healAll(): void {
    for (const undo of this.#undo) undo()
  }

  /** Whether anything gets through from one to the other. */
  isOpen(from: PeerId, to: PeerId): boolean {
    return !this.#isCut(from, to)
  }

  /** Aborts all channels between the two. */
  reset(a: PeerId, b: PeerId): void {
    for (const end of this.#endpoints.get(a)?.channels ?? []) if (end.peer === b) end.abort(LOST)
  }

  #open(from: Endpoint, { to, protocol, signal }: { to: PeerId; protocol: string; signal: AbortSignal }) {
    if (!from.life.isAlive) return never<Channel>()
    return new Promise<Channel>((resolve, reject) => {
      const fail = (): void => reject(signal.reason as Error)
      if (signal.aborted) return fail()
      const forget = (): void => {
        signal.removeEventListener('abort', fail)
        this.#opening.delete(forget)
      }
      signal.addEventListener('abort', fail, { once: true })
      this.#opening.add(forget)
      const answer = (run: () => void): void =>
        this.#reliably(to, from.peer, () => {
          if (!from.life.isAlive) return
          forget()
          from.life.touch()
          run()
        })
      this.#reliably(from.peer, to, () => {
        const target = this.#endpoints.get(to)
        const end = target && this.#accept(target, from, protocol)
        answer(() => {
          if (!end) reject(new Error(`${to} refuses ${protocol}`))
          else if (signal.aborted) end.abort(LOST)
          else resolve(end)
        })
      })
    })
  }

  #accept(target: Endpoint, from: Endpoint, protocol: string): ChannelEnd | undefined {
    const served = target.served.get(protocol)
    if (!served || !from.life.isAlive || !target.mayOpen(from.peer, served.options)) return undefined
    const open = [...target.channels].filter((end) => end.peer === from.peer && end.served === protocol)
    if (open.length >= served.options.channelsPerPeerMax) return undefined
    const transport = {
      frame: (end: ChannelEnd, frame: Uint8Array) => this.#send(end, frame),
      end: (end: ChannelEnd, how: Error | 'closed') => {
        const arrive = (): void => end.other.end(how)
        if (this.isStream(protocol)) this.#inOrder(end, arrive)
        else this.#reliably(end.owner.peer, end.peer, arrive)
      },
    }
    const [near, far] = pairChannels({ from, to: target, protocol }, transport)
    target.life.touch()
    void served.serve(far).then(
      () => far.close(),
      (error: Error) => far.abort(error),
    )
    return near
  }

  #send(end: ChannelEnd, frame: Uint8Array): void {
    const { peer: from } = end.owner
    this.counts.sent += 1
    this.observe(from, frame, end.peer)
    if (this.isStream(end.served ?? end.other.served ?? '')) return this.#inOrder(end, () => end.other.receive(frame))
    const { dropRate, duplicateRate, lateRate } = this.faults
    if (this.#isCut(from, end.peer) || this.#prng.chance(dropRate)) {
      this.counts.dropped += 1
      return
    }
    this.#deliver(end, frame, lateRate)
    if (!this.#prng.chance(duplicateRate)) return
    this.counts.duplicated += 1
    this.#deliver(end, frame, LATE_DUPLICATE_RATE)
  }

  #deliver(end: ChannelEnd, frame: Uint8Array, lateRate: number): void {
    const isLate = this.faults.lateRate > 0 && this.#prng.chance(lateRate)
    if (isLate) this.counts.late += 1
    const delayMs = isLate ? this.#prng.between(0, LATE_MS_MAX) : this.#latencyMs()
    this.#time.after(delayMs, () => {
      const arrive = (): void => this.#receiver(end)?.receive(frame)
      const waiting = this.#suspended.get(end.peer)
      if (!waiting) arrive()
      else if (this.#prng.chance(0.5)) waiting.push(arrive)
      else this.counts.dropped += 1
    })
  }

  /** What a cut or a suspended host holds up comes later, still in order. */
  #inOrder(end: ChannelEnd, arrive: () => void): void {
    const queue = this.#underWay.get(end) ?? []
    this.#underWay.set(end, queue)
    queue.push({ dueMs: Math.max(queue.at(-1)?.dueMs ?? 0, this.#time.nowMs + this.#latencyMs()), arrive })
    if (queue.length === 1) this.#deliverNext(end, queue)
  }

  #deliverNext(end: ChannelEnd, queue: { readonly dueMs: number; readonly arrive: () => void }[]): void {
    const [next] = queue
    if (!next) return
    const deliver = (): void => {
      queue.shift()
      next.arrive()
      this.#deliverNext(end, queue)
    }
    const tryNow = (): void => {
      const waiting = this.#suspended.get(end.peer)
      if (this.#isCut(end.owner.peer, end.peer)) this.#time.after(TRANSPORT_RETRY_MS, tryNow)
      else if (waiting) waiting.push(deliver)
      else deliver()
    }
    this.#time.at(next.dueMs, tryNow)
  }

  /** A frame may outlive its channel: it then arrives on one that took its place, as if somebody had kept it. */
  #receiver({ other, peer, owner }: ChannelEnd): ChannelEnd | undefined {
    if (!other.hasEnded && other.owner.life.isAlive) return other
    const inUse = [...(this.#endpoints.get(peer)?.channels ?? [])]
    return inUse.findLast((end) => end.peer === owner.peer && end.served === other.served)
  }

  #reliably(from: PeerId, to: PeerId, arrive: () => void): void {
    this.#time.after(this.#latencyMs(), () => {
      const waiting = this.#suspended.get(to)
      if (this.#isCut(from, to)) this.#time.after(TRANSPORT_RETRY_MS, () => this.#reliably(from, to, arrive))
      else if (waiting) waiting.push(arrive)
      else arrive()
    })
  }

  #cut(from: PeerId, to: PeerId, more: 1 | -1): void {
    const link = `${from} ${to}`
    const cuts = (this.#cuts.get(link) ?? 0) + more
    if (cuts > 0) this.#cuts.set(link, cuts)
    else this.#cuts.delete(link)
    this.#reconsider(this.#endpoints.get(from), this.#endpoints.get(to))
  }

  #isCut(from: PeerId, to: PeerId): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from} ${to}`)
  }

  #latencyMs(): number {
    return this.faults.latencyMs * this.#prng.between(0.5, 1.5)
  }

  /** Two processes are connected while both live and nothing is cut between them. */
  #reconsider(a: Endpoint | undefined, b: Endpoint | undefined): void {
    if (!a || !b || a === b) return
    const isUp = !this.#isCut(a.peer, b.peer) && !this.#isCut(b.peer, a.peer)
    if (isUp) this.#connected(a, b)
    else {
      this.#disconnected(a, b.peer)
      this.#disconnected(b, a.peer)
    }
  }

  #connected(a: Endpoint, b: Endpoint): void {
    for (const [mine, peer] of [
      [a, b.peer],
      [b, a.peer],
    ] as const) {
      if (mine.connected.has(peer)) continue
      mine.connected.add(peer)
      for (const listener of mine.onConnect) this.#reliably(peer, mine.peer, () => mine.life.isAlive && listener(peer))
    }
  }

  #disconnected(mine: Endpoint | undefined, peer: PeerId): void {
    if (!mine?.connected.delete(peer)) return
    for (const listener of mine.onDisconnect) this.#time.after(0, () => mine.life.isAlive && listener(peer))
  }
}

const LOST = new Error('connection lost')

function subscribe<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

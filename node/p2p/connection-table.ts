import type { Connection } from '@libp2p/interface'
import { PeerId } from '../../crdt/ids.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import { isRelayed } from './addresses.ts'

/** Joining takes seconds; who is still no member then has no business here. */
const STRANGER_MS = 15_000

type Entry = {
  readonly connection: Connection
  readonly peer: PeerId
  /** When something came over it last; at first, when it was opened. */
  heardMs: number
  cancel: Cancel
}

/** The open connections of a node, and who of the members is connected. Two connections to one peer are both kept. */
export class ConnectionTable {
  readonly #isMember: (peer: PeerId) => boolean
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry>()
  /** Members announced as connected, with the monotonic time since when. */
  readonly #announced = new Map<PeerId, number>()
  readonly #memberListeners = new Set<(peer: PeerId) => void>()
  readonly #lostListeners = new Set<(peer: PeerId, lastedMs: number) => void>()
  readonly #furtherListeners = new Set<(peer: PeerId, connection: Connection) => void>()
  readonly #fewerListeners = new Set<(peer: PeerId) => void>()

  constructor(isMember: (peer: PeerId) => boolean, clock: Clock) {
    this.#isMember = isMember
    this.#clock = clock
  }

  onMember(listener: (peer: PeerId) => void): Cancel {
    this.#memberListeners.add(listener)
    return () => this.#memberListeners.delete(listener)
  }

  onMemberLost(listener: (peer: PeerId, lastedMs: number) => void): Cancel {
    this.#lostListeners.add(listener)
    return () => this.#lostListeners.delete(listener)
  }

  /** Told of every connection to a member that was connected already. */
  onFurther(listener: (peer: PeerId, connection: Connection) => void): Cancel {
    this.#furtherListeners.add(listener)
    return () => this.#furtherListeners.delete(listener)
  }

  /** Told of every connection that is lost to a member that stays connected. */
  onFewer(listener: (peer: PeerId) => void): Cancel {
    this.#fewerListeners.add(listener)
    return () => this.#fewerListeners.delete(listener)
  }

  members(): PeerId[] {
    return [...this.#announced.keys()]
  }

  isConnected(peer: PeerId): boolean {
    return this.#announced.has(peer)
  }

  has(peer: PeerId): boolean {
    return this.connectionTo(peer) !== undefined
  }

  /** The oldest open one, so that both sides tend to use the same, and one without a relay if there is any. */
  connectionTo(peer: PeerId): Connection | undefined {
    const open = this.connectionsTo(peer)
    return open.find(({ remoteAddr }) => !isRelayed(remoteAddr)) ?? open[0]
  }

  /** Oldest first. */
  connectionsTo(peer: PeerId): Connection[] {
    return [...this.#entries.values()].flatMap((entry) =>
      entry.peer === peer && entry.connection.status === 'open' ? [entry.connection] : [],
    )
  }

  /** The one without a relay, if any. */
  directTo(peer: PeerId): Connection | undefined {
    return this.connectionsTo(peer).find(({ remoteAddr }) => !isRelayed(remoteAddr))
  }

  add(connection: Connection): void {
    const peer = PeerId.safeParse(connection.remotePeer.toString())
    if (!peer.success || connection.status !== 'open') {
      connection.abort(new Error('not a peer of this kind of mesh'))
      return
    }
    const hangUp = (): void => {
      if (!this.#isMember(peer.data)) connection.abort(new Error('not a member'))
    }
    const cancel = this.#isMember(peer.data) ? () => undefined : this.#clock.after(STRANGER_MS, hangUp)
    this.#entries.set(connection.id, { connection, peer: peer.data, heardMs: this.#clock.monoMs(), cancel })
    const isFurther = this.#announced.has(peer.data)
    this.#announce(peer.data)
    if (isFurther) for (const listener of this.#furtherListeners) listener(peer.data, connection)
  }

  /** Something has come over it. */
  heard({ id }: Connection): void {
    const entry = this.#entries.get(id)
    if (entry !== undefined) entry.heardMs = this.#clock.monoMs()
  }

  /** Open ones over which nothing has come for so long, of members or not. */
  silentFor(ms: number): Connection[] {
    const nowMs = this.#clock.monoMs()
    return [...this.#entries.values()].flatMap(({ connection, heardMs }) =>
      nowMs - heardMs >= ms && connection.status === 'open' ? [connection] : [],
    )
  }

  remove(connection: Connection): void {
    const entry = this.#entries.get(connection.id)
    if (entry === undefined) return
    entry.cancel()
    this.#entries.delete(connection.id)
    this.#announce(entry.peer)
    if (this.#announced.has(entry.peer)) for (const listener of this.#fewerListeners) listener(entry.peer)
  }

  abort(peer: PeerId, reason: Error): void {
    for (const entry of this.#entries.values()) if (entry.peer === peer) entry.connection.abort(reason)
  }

  /** Announces who became a member while connected; returns connected peers that were members and are none now. */
  refresh(): PeerId[] {
    for (const { peer } of this.#entries.values()) if (this.#isMember(peer)) this.#announce(peer)
    return [...this.#announced.keys()].filter((peer) => !this.#isMember(peer))
  }

  stop(): void {
    for (const entry of this.#entries.values()) entry.cancel()
  }

  #announce(peer: PeerId): void {
    const since = this.#announced.get(peer)
    const connected = this.has(peer)
    if (connected && since === undefined && this.#isMember(peer)) {
      this.#announced.set(peer, this.#clock.monoMs())
      for (const listener of this.#memberListeners) listener(peer)
    } else if (!connected && since !== undefined) {
      this.#announced.delete(peer)
      for (const listener of this.#lostListeners) listener(peer, this.#clock.monoMs() - since)
    }
  }
}

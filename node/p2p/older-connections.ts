import type { Connection } from '@libp2p/interface'
import type { PeerId } from '../../crdt/ids.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Channel } from '../ports/peer-network.ts'
import { isRelayed } from './addresses.ts'
import type { ConnectionTable } from './connection-table.ts'
import { INTRODUCTION_PROTOCOL } from './introduction.ts'
import type { ProtocolHost } from './protocol-host.ts'

/** A connection in doubt is given this long to show that it is alive. */
const DOUBT_MS = 5000
/** What runs over a relay when a direct connection comes may end there; what begins goes the direct way. */
const RETIRE_AFTER_MS = 30_000

export type OlderConnectionDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly table: ConnectionTable
  readonly host: ProtocolHost
  /** Asks for an answer over a channel. */
  readonly exchange: (channel: Channel) => Promise<void>
}

/** What becomes of a connection when there is a newer one, or reason to think that it has died without a word. */
export class OlderConnections {
  readonly #deps: OlderConnectionDeps
  readonly #cancelRetiring = new Map<PeerId, Cancel>()

  constructor(deps: OlderConnectionDeps) {
    this.#deps = deps
  }

  /** Cuts those connections to the member that do not answer, except the one that has just been made. */
  doubtAll(peer: PeerId, newest?: Connection): void {
    for (const connection of this.#deps.table.connectionsTo(peer))
      if (connection !== newest && !isTwin(connection, newest)) void this.#doubt(peer, connection)
  }

  /** There is a direct connection: those through relays end once nothing is held on them any more. */
  retireRelayed(peer: PeerId): void {
    // One look at all of them is due at a time: else each would bring about more of them.
    this.#cancelRetiring.get(peer)?.()
    const cancel = this.#deps.clock.after(RETIRE_AFTER_MS, () => {
      this.#cancelRetiring.delete(peer)
      this.#retire(peer)
    })
    this.#cancelRetiring.set(peer, cancel)
  }

  #retire(peer: PeerId): void {
    const { table, host } = this.#deps
    if (table.directTo(peer) === undefined) return
    const relayed = table.connectionsTo(peer).filter(({ remoteAddr }) => isRelayed(remoteAddr))
    const idle = relayed.filter((connection) => !host.isHeld(connection))
    for (const connection of idle) connection.abort(new Error('there is a direct connection'))
    if (idle.length < relayed.length) this.retireRelayed(peer)
  }

  async #doubt(peer: PeerId, connection: Connection): Promise<void> {
    const { clock, log, host, exchange } = this.#deps
    const late = new AbortController()
    const cancel = clock.after(DOUBT_MS, () => {
      late.abort(new Error('no sign of life'))
      connection.abort(new Error('no sign of life'))
    })
    try {
      const channel = await host.open(connection, peer, INTRODUCTION_PROTOCOL, late.signal)
      await exchange(channel)
      await channel.close()
    } catch (error) {
      log.debug({ peer, error: String(error) }, 'an old connection is in doubt')
    } finally {
      cancel()
    }
  }
}

/** Both sides have dialled at once. Each would doubt its own of the two, and when both are busy neither would be left. */
const isTwin = (connection: Connection, newest: Connection | undefined): boolean =>
  connection.direction === 'outbound' &&
  newest !== undefined &&
  newest.timeline.open - connection.timeline.open < DOUBT_MS

import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import { ConnectionTable } from '../../../node/p2p/connection-table.ts'
import { OlderConnections } from '../../../node/p2p/older-connections.ts'
import type { ProtocolHost } from '../../../node/p2p/protocol-host.ts'
import { createManualClock } from '../../support/clock.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'
import { createRecordedLog } from '../../support/log.ts'

const PEER = peerOf(1)
const DIRECT = '/ip4/192.0.2.1/tcp/1'
const RELAYED = `/ip4/192.0.2.9/tcp/1/p2p/${peerOf(9)}/p2p-circuit`

/** Connections to one member, all of them in use; it answers nothing. */
function create() {
  const manual = createManualClock()
  let armed = 0
  const clock = {
    ...manual,
    after: (delayMs: number, task: () => void) => {
      armed++
      return manual.after(delayMs, task)
    },
  }
  const table = new ConnectionTable(() => true, clock)
  const held = new Set<Connection>()
  const open = async (): Promise<never> => await new Promise(() => undefined)
  const host = { open, isHeld: (connection: Connection) => held.has(connection) } as unknown as ProtocolHost
  const log = createRecordedLog()
  const older = new OlderConnections({ clock, log, table, host, exchange: async () => undefined })
  let ids = 0
  const connect = (direction: 'inbound' | 'outbound', address: string): Connection => {
    const connection = {
      id: String(ids++),
      direction,
      timeline: { open: clock.wallMs() },
      remotePeer: PEER,
      remoteAddr: multiaddr(address),
      status: 'open',
      abort: () => void Object.assign(connection, { status: 'aborted' }),
    }
    const real = connection as unknown as Connection
    table.add(real)
    held.add(real)
    return real
  }
  return { clock, older, held, connect, armed: () => armed }
}

describe('ways through relays, once there is a direct one', () => {
  it('are looked at every half minute while terminals are on them, however many ways there are', async () => {
    const { clock, older, held, connect, armed } = create()
    const relayed = [connect('inbound', RELAYED), connect('outbound', RELAYED)]
    connect('inbound', DIRECT)
    for (let n = 0; n < 3; n++) older.retireRelayed(PEER)
    const before = armed()
    await clock.advance(8 * 30_000)
    const looks = armed() - before
    held.clear()
    await clock.advance(30_000)
    expect(relayed.map(({ status }) => status)).toEqual(['aborted', 'aborted'])
    expect(looks).toBe(8)
  })
})

describe('connections that are there when the member makes another one', () => {
  it('are cut when nothing is answered over them', async () => {
    const { clock, older, connect } = create()
    const before = [connect('inbound', DIRECT), connect('outbound', DIRECT)]
    await clock.advance(5000)
    const newest = connect('inbound', DIRECT)
    older.doubtAll(PEER, newest)
    await clock.advance(5000)
    expect([...before, newest].map(({ status }) => status)).toEqual(['aborted', 'aborted', 'open'])
  })

  it('are left alone where both have dialled at once: two that are busy would each cut what the other one keeps', async () => {
    const { clock, older, connect } = create()
    const ours = connect('outbound', DIRECT)
    await clock.advance(100)
    const theirs = connect('inbound', DIRECT)
    older.doubtAll(PEER, theirs)
    await clock.advance(60_000)
    expect([ours, theirs].map(({ status }) => status)).toEqual(['open', 'open'])
  })
})

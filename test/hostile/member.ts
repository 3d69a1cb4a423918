import { createSigner } from '../../node/adapters/node-crypto.ts'
import { systemClock } from '../../node/adapters/system-clock.ts'
import type { Libp2pNetwork } from '../../node/p2p/libp2p-network.ts'
import type { Channel } from '../../node/ports/peer-network.ts'
import { joinMesh } from '../../node/services/membership/join-client.ts'
import type { MeshId, PeerId } from '../../crdt/ids.ts'
import { parseRecord, type LogRecord } from '../../protocols/membership/records.ts'
import { decodeSync, SYNC_FRAME_BYTES_MAX, SYNC_PROTOCOL } from '../../protocols/sync.ts'
import { parseTicket } from '../../protocols/ticket.ts'
import { crypto, identity } from '../support/identity.ts'
import { createTestNode, peerOf, soon } from '../support/libp2p-nodes.ts'
import { createRecordedLog } from '../support/log.ts'

/** What is kept of what honest members send, to be sent again. */
const HEARD_MAX = 2000

/** A program of its own that holds a member's key: it was admitted as anybody is, and says what it likes. */
export type HostileMember = {
  readonly n: number
  readonly peer: PeerId
  readonly mesh: MeshId
  readonly network: Libp2pNetwork
  /** The membership log at admission. */
  readonly records: readonly LogRecord[]
  /** Envelopes, heartbeats and records heard, the latest last. */
  readonly heard: { readonly envelopes: Uint8Array[]; readonly beats: Uint8Array[] }
  /** Where honest members can be dialled, as they tell each other. */
  readonly told: Map<PeerId, readonly string[]>
  /** Sends frames on a new channel, without waiting for what comes of it; false when it was not let in. */
  shout(to: PeerId, protocol: string, frames: readonly Uint8Array[]): Promise<boolean>
  stop(): Promise<void>
}

/** Joins with a ticket under the key of `identity(n)`. */
export async function joinAsHostile(n: number, ticketLine: string): Promise<HostileMember> {
  const ticket = parseTicket(crypto, ticketLine, Date.now())
  if (!ticket.ok) throw new Error(ticket.error.message)
  const { mesh, inviter, addresses } = ticket.value
  const network = await createTestNode(n, new Set(), { mesh, isMember: () => true })
  const heard = { envelopes: [] as Uint8Array[], beats: [] as Uint8Array[] }
  const told = new Map<PeerId, readonly string[]>()
  listen(network, heard, told)
  await network.start()
  await network.dialAddresses(inviter, addresses, soon())
  const joined = await joinMesh(
    {
      network,
      crypto,
      signer: identity(n),
      clock: systemClock,
      log: createRecordedLog(),
      keyFromSeed: createSigner,
      self: { name: 'mallory', boxKey: new Uint8Array(32).fill(n) },
    },
    ticket.value,
    soon(),
  )
  if (!joined.ok) throw new Error(joined.error.message)
  const records = joined.value.records.flatMap((bytes) => {
    const record = parseRecord(crypto, bytes)
    return record.ok ? [record.value] : []
  })
  return {
    n,
    peer: peerOf(n),
    mesh,
    network,
    records,
    heard,
    told,
    shout: (to, protocol, frames) => shout(network, { to, protocol }, frames),
    stop: () => network.stop(),
  }
}

function listen(network: Libp2pNetwork, heard: HostileMember['heard'], told: HostileMember['told']): void {
  const keep = (list: Uint8Array[], items: readonly Uint8Array[]): void => {
    list.push(...items)
    if (list.length > HEARD_MAX) list.splice(0, list.length - HEARD_MAX)
  }
  network.handle(
    SYNC_PROTOCOL,
    { policy: { who: 'member' }, frameBytesMax: SYNC_FRAME_BYTES_MAX, channelsPerPeerMax: 4 },
    async (channel) => {
      for await (const frame of channel.frames) {
        const message = decodeSync(frame)
        if (message?.t === 'envelopes') keep(heard.envelopes, message.envelopes)
        if (message?.t === 'beat') keep(heard.beats, [message.beat])
        if (message?.t === 'peers') for (const [peer, addresses] of message.peers) told.set(peer, addresses)
      }
    },
  )
}

async function shout(
  network: Libp2pNetwork,
  { to, protocol }: { to: PeerId; protocol: string },
  frames: readonly Uint8Array[],
): Promise<boolean> {
  let channel: Channel
  try {
    channel = await network.open(to, protocol, soon())
  } catch {
    return false // refused, which is what it deserves
  }
  try {
    for (const frame of frames) await channel.send(frame)
    return true
  } catch {
    return false // hung up on
  } finally {
    await channel.close()
  }
}

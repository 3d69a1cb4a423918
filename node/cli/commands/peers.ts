import type { Command } from 'commander'
import type { PeerView } from '../../services/membership/peers-service.ts'
import { ask, command, print, table, type CommonOptions } from '../command.ts'
import { peerLines, peerRow, PEER_HEADINGS } from '../peers-words.ts'

export function peersCommand(): Command {
  return command('peers', 'show how each other machine is reached, and why not').action(
    async (options: CommonOptions) => {
      const peers = await ask<PeerView[]>(options, 'mesh.peers')
      const now = Date.now()
      print(options, peers.map(wirePeer), () =>
        peers.length === 0
          ? ['There is no other machine in this mesh yet: `rookery invite` makes a ticket for one.']
          : [...table([PEER_HEADINGS, ...peers.map((peer) => peerRow(peer, now))]), ...peerLines(peers, now)],
      )
    },
  )
}

const wirePeer = (peer: PeerView): object => ({
  peer_id: peer.peerId,
  name: peer.name,
  how: peer.how,
  via: peer.via === null ? null : { peer_id: peer.via.peerId, name: peer.via.name },
  address: peer.address,
  since: peer.since,
  rtt_ms: peer.rttMs,
  agent: peer.agent,
  last_seen_at: peer.lastSeenAt,
  failed: peer.failed,
  plan: peer.plan,
  next_try_in_seconds: peer.nextTryInSeconds,
})

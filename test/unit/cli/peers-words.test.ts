import { expect, it } from 'vitest'
import { peerLines, peerRow } from '../../../node/cli/peers-words.ts'
import type { PeerView } from '../../../node/services/membership/peers-service.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

const NOW = Date.parse('2026-11-27T12:00:00Z')
const at = (secondsAgo: number): string => new Date(NOW - secondsAgo * 1000).toISOString()

const there: PeerView = {
  peerId: peerOf(1),
  name: 'desk',
  how: 'local network',
  via: null,
  address: `/ip4/192.168.1.7/tcp/4001/p2p/${peerOf(1)}`,
  since: at(300),
  rttMs: 1.234,
  agent: 'rookery/0.1.0',
  lastSeenAt: at(0),
  failed: [],
  plan: null,
  nextTryInSeconds: null,
}
const failed = [{ address: '/ip6/2001:db8::1/tcp/4001', error: 'no answer within 4 s', at: at(7) }]

it('shows how a machine is reached, since when, and how far away it is', () => {
  expect(peerRow(there, NOW)).toEqual(['desk', 'local network', '5 min', '1.2 ms', 'rookery/0.1.0', '192.168.1.7:4001'])
  expect(peerLines([there], NOW)).toEqual([])
})

it('names the machine in between, and says why there is no direct way', () => {
  const relayed: PeerView = {
    ...there,
    how: 'relay',
    via: { peerId: peerOf(2), name: 'vps' },
    address: `/ip4/93.184.216.34/tcp/1/p2p/${peerOf(2)}/p2p-circuit/p2p/${peerOf(1)}`,
    failed,
  }
  expect(peerRow(relayed, NOW).slice(0, 2)).toEqual(['desk', 'through vps'])
  expect(peerLines([relayed], NOW)).toEqual([
    '',
    'desk could not be reached directly:',
    '  [2001:db8::1]:4001: no answer within 4 s (7 s ago)',
  ])
  expect(peerLines([{ ...relayed, failed: [] }], NOW)).toEqual([
    '',
    'desk has no address that could be tried without vps.',
  ])
})

it('says of a machine that is not connected when it was seen, what was tried and when it is tried again', () => {
  const gone: PeerView = {
    ...there,
    how: 'not connected',
    address: null,
    since: null,
    rttMs: null,
    agent: null,
    lastSeenAt: at(10_000),
    failed: [...failed, { address: `/p2p/${peerOf(2)}/p2p-circuit`, error: 'not connected to the relay', at: at(6) }],
    plan: 'tried later',
    nextTryInSeconds: 14,
  }
  expect(peerRow(gone, NOW)).toEqual(['desk', 'not connected', '-', '-', '-', '-'])
  expect(peerLines([gone], NOW)).toEqual([
    '',
    'desk is not connected: last seen 3 h ago; next try in 14 s.',
    '  [2001:db8::1]:4001: no answer within 4 s (7 s ago)',
    '  through another machine: not connected to the relay (6 s ago)',
  ])
  expect(peerLines([{ ...gone, failed: [] }], NOW)).toEqual([
    '',
    'desk is not connected: last seen 3 h ago; next try in 14 s.',
  ])
  const unseen: PeerView = { ...gone, failed: [], lastSeenAt: null, nextTryInSeconds: null }
  expect(peerLines([{ ...unseen, plan: 'no address' }], NOW)).toEqual([
    '',
    'desk is not connected: not seen since this node started; no address of it is known. Start it, or let it join anew.',
  ])
  expect(peerLines([{ ...unseen, plan: 'being tried' }], NOW)).toEqual([
    '',
    'desk is not connected: not seen since this node started; being tried now.',
  ])
})

it('does not take it for trouble that most of a large mesh is connected only when needed, unless that failed', () => {
  const other: PeerView = {
    ...there,
    how: 'not connected',
    address: null,
    since: null,
    rttMs: null,
    plan: 'when needed',
  }
  expect(peerRow(other, NOW).slice(0, 2)).toEqual(['desk', 'when needed'])
  expect(peerLines([other], NOW)).toEqual([])
  expect(peerLines([{ ...other, failed, lastSeenAt: at(20) }], NOW)).toEqual([
    '',
    'desk is not connected: last seen 20 s ago; it is tried when it is needed.',
    '  [2001:db8::1]:4001: no answer within 4 s (7 s ago)',
  ])
})

import { isIP } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../crdt/ids.ts'
import {
  acceptHints,
  acceptLanHints,
  hostOf,
  isPublic,
  isThisHost,
  normaliseAddress,
  ownHosts,
  scopeOf,
} from '../../../node/p2p/addresses.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

describe('addresses', () => {
  it.each([
    ['/ip4/10.0.0.1/tcp/4001', '/ip4/10.0.0.1/tcp/4001'],
    [`/ip4/10.0.0.1/tcp/4001/p2p/${peerOf(1)}`, '/ip4/10.0.0.1/tcp/4001'],
    ['/dns4/box.example/tcp/4001', '/dns4/box.example/tcp/4001'],
    ['/ip6/2001:db8::1/tcp/4001', '/ip6/2001:db8::1/tcp/4001'],
    ['/ip4/0.0.0.0/tcp/4001', undefined],
    ['/ip6/::/tcp/4001', undefined],
    ['/ip6/::ffff:0.0.0.0/tcp/4001', undefined],
    ['/ip4/10.0.0.1/tcp/0', undefined],
    ['/ip4/10.0.0.1/udp/4001', undefined],
    ['/ip4/10.0.0.1/tcp/4001/ws', undefined],
    ['/unix/%2Ftmp%2Fsocket', undefined],
    ['http://10.0.0.1', undefined],
    [`/dns4/${'a'.repeat(300)}/tcp/1`, undefined],
    [`/p2p/${peerOf(1)}/p2p-circuit`, `/p2p/${peerOf(1)}/p2p-circuit`],
    [`/ip4/10.0.0.1/tcp/1/p2p/${peerOf(1)}/p2p-circuit/p2p/${peerOf(2)}`, `/p2p/${peerOf(1)}/p2p-circuit`],
    [`/ip4/10.0.0.1/tcp/1/p2p-circuit/p2p/${peerOf(2)}`, undefined],
    [`/p2p/${peerOf(1)}/p2p-circuit/p2p/${peerOf(2)}/p2p-circuit`, undefined],
  ])('takes %s for %s', (text, address) => expect(normaliseAddress(text)).toBe(address))

  it('knows the host of an address, IPv4-mapped ones as IPv4', () => {
    expect(['/ip4/10.0.0.1/tcp/1', '/ip6/::ffff:10.0.0.1/tcp/1', '/dns/box/tcp/1', 'nonsense'].map(hostOf)).toEqual([
      '10.0.0.1',
      '10.0.0.1',
      'box',
      undefined,
    ])
    expect(isThisHost('127.0.0.1')).toBe(true)
    expect(isThisHost('192.0.2.1')).toBe(false)
  })

  it('never dials loopback or link-local addresses on the word of another host', () => {
    const told = [
      '/ip4/127.0.0.1/tcp/6379',
      '/ip4/127.8.8.8/tcp/1',
      '/ip6/::1/tcp/1',
      '/dns4/localhost/tcp/1',
      '/ip4/169.254.1.1/tcp/1',
      '/ip6/fe80::1/tcp/1',
      '/dns4/rebinding.example/tcp/1',
      '/ip6/::ffff:127.0.0.1/tcp/1',
      '/ip6/::ffff:0.0.0.0/tcp/1',
      '/ip4/192.168.1.2/tcp/1',
      'nonsense',
    ]
    expect(acceptHints(told, { onThisHost: false })).toEqual(['/ip4/192.168.1.2/tcp/1'])
    expect(acceptHints(told, { onThisHost: true })).toEqual([
      '/ip4/127.0.0.1/tcp/6379',
      '/ip4/127.8.8.8/tcp/1',
      '/ip6/::1/tcp/1',
      normaliseAddress('/ip6/::ffff:127.0.0.1/tcp/1'),
      '/ip4/192.168.1.2/tcp/1',
    ])
  })

  it('takes from multicast what is on this link, loopback from this host only, whatever it claims to be, and no names', () => {
    const own = ownHosts().find((host) => isIP(host) === 4 && scopeOf(host) === 'elsewhere')
    const [loopback, linkLocal, elsewhere] = ['/ip4/127.0.0.1/tcp/1', '/ip4/169.254.1.1/tcp/1', '/ip4/192.0.2.1/tcp/1']
    const told = [loopback, linkLocal, elsewhere, '/dns4/rebinding.example/tcp/1', `/ip4/${own ?? '192.0.2.2'}/tcp/1`]
    const takenFrom = (host: string): string[] =>
      acceptLanHints(
        told.map((text) => multiaddr(text)),
        host,
      )
    const others = [linkLocal, elsewhere, told.at(-1)]
    expect(takenFrom('192.0.2.1')).toEqual(others)
    for (const host of ['127.0.0.1', own ?? '127.0.0.1']) expect(takenFrom(host)).toEqual([loopback, ...others])
  })

  it('[A-M1] takes a way through a relay only if the relay is one we would use', () => {
    const told = [1, 2].map((n) => `/p2p/${peerOf(n)}/p2p-circuit`)
    const mayRelay = (relay: PeerId): boolean => relay === peerOf(1)
    expect(acceptHints(told, { onThisHost: false, mayRelay })).toEqual(told.slice(0, 1))
    expect(acceptHints(told, { onThisHost: true })).toEqual([])
  })

  it.each([
    ['93.184.216.34', true],
    ['10.1.2.3', false],
    ['172.16.0.1', false],
    ['172.32.0.1', true],
    ['192.168.0.1', false],
    ['100.64.0.1', false],
    ['100.128.0.1', true],
    ['169.254.0.1', false],
    ['127.0.0.1', false],
    ['224.0.0.1', false],
    ['0.0.0.0', false],
    ['2606:4700::1111', true],
    ['fd00::1', false],
    ['fe80::1', false],
    ['::1', false],
    ['2001:db8::1', false],
    ['box.example', false],
  ])('knows whether %s means the same host everywhere: %s', (host, answer) => expect(isPublic(host)).toBe(answer))
})

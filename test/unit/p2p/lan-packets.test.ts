import { multiaddr } from '@multiformats/multiaddr'
import { encode, type Answer } from 'dns-packet'
import { describe, expect, it } from 'vitest'
import { lanAnswer, lanQuestion, readLanPacket } from '../../../node/p2p/lan-packets.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

const TAG = '_rookery-0123456789abcdef._udp.local'
const OTHER = '_rookery-fedcba9876543210._udp.local'
const at = (address: string, n = 1) => multiaddr(`${address}/p2p/${peerOf(n)}`)

const response = (answers: Answer[]): Buffer => encode({ type: 'response', answers })
const pointer = (tag = TAG): Answer => ({ name: tag, type: 'PTR', data: `x.${tag}` })
const text = (...data: string[]): Answer => ({ name: `x.${TAG}`, type: 'TXT', data })

describe('packets of multicast DNS', () => {
  it('ask for nodes of one mesh, and nobody else takes that for a question to him', () => {
    expect(readLanPacket(lanQuestion(TAG), TAG)).toBe('question')
    expect(readLanPacket(lanQuestion(TAG), OTHER)).toBeUndefined()
  })

  it('tell where a node is, without its name, to nodes of its mesh', () => {
    const addresses = [at('/ip4/192.168.1.7/tcp/4001'), at('/ip6/fd00::7/tcp/4001')]
    const answer = lanAnswer(TAG, 'ab12', addresses)
    const read = readLanPacket(answer, TAG)
    expect(read).toEqual({ id: peerOf(1), multiaddrs: expect.any(Array) })
    expect(read !== 'question' && read?.multiaddrs.map(String)).toEqual([
      '/ip4/192.168.1.7/tcp/4001',
      '/ip6/fd00::7/tcp/4001',
    ])
    expect(readLanPacket(answer, OTHER)).toBeUndefined()
  })

  it('[M18] are those of the releases that had them from libp2p', () => {
    const answer = response([pointer(), text(`dnsaddr=${at('/ip4/192.168.1.7/tcp/4001').toString()}`)])
    expect(readLanPacket(answer, TAG)).toMatchObject({ id: peerOf(1) })
    const asked = encode({ type: 'query', questions: [{ name: TAG, type: 'PTR' }] })
    expect([readLanPacket(asked, TAG), lanQuestion(TAG).toString('hex')]).toEqual(['question', asked.toString('hex')])
  })

  it('name at most sixteen addresses, and none that is too long for a record', () => {
    const many = Array.from({ length: 40 }, (_, i) => at(`/ip4/10.0.0.${i}/tcp/1`))
    const long = at(`/dns4/${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.example/tcp/1`)
    const read = readLanPacket(lanAnswer(TAG, 'ab12', [long, ...many]), TAG)
    expect(read !== 'question' && read?.multiaddrs.map(String)).toEqual(
      Array.from({ length: 16 }, (_, i) => `/ip4/10.0.0.${i}/tcp/1`),
    )
  })

  it.each([
    ['no packet', Buffer.from('hello')],
    ['nothing', Buffer.alloc(0)],
    ['half a packet', lanAnswer(TAG, 'ab12', [at('/ip4/10.0.0.1/tcp/1')]).subarray(0, 60)],
    ['no addresses', response([pointer()])],
    ['another kind of text', response([pointer(), text('hello')])],
    ['what is no address', response([pointer(), text('dnsaddr=/ip4/x')])],
    ['an address of nobody', response([pointer(), text('dnsaddr=/ip4/10.0.0.1/tcp/1')])],
    [
      'addresses of two at once',
      response([pointer(), text(...[1, 2].map((n) => `dnsaddr=${at('/ip4/10.0.0.1/tcp/1', n).toString()}`))]),
    ],
    ['another mesh', response([pointer(OTHER), text(`dnsaddr=${at('/ip4/10.0.0.1/tcp/1').toString()}`)])],
  ])('are ignored when they say %s', (_, packet) => {
    expect(readLanPacket(packet, TAG)).toBeUndefined()
  })
})

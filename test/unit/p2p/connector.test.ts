import type { Connection } from '@libp2p/interface'
import { describe, expect, it } from 'vitest'
import { Connector } from '../../../node/p2p/connector.ts'
import { plainReason } from '../../../node/p2p/plain-reason.ts'
import { createManualClock } from '../../support/clock.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

const [target, relay, self] = [peerOf(1), peerOf(2), peerOf(3)]
const THROUGH = `/p2p/${relay}/p2p-circuit`
const never = new AbortController().signal

type Behaviour = 'answers' | 'refuses' | 'silent'

/** A world in which addresses answer, refuse or swallow packets. */
function create(behaviours: Readonly<Record<string, Behaviour>>, isRelayConnected = true) {
  const clock = createManualClock()
  const startMs = clock.monoMs()
  const dialled: string[] = []
  const behave = (address: string, signal: AbortSignal): Promise<Connection> => {
    dialled.push(`${clock.monoMs() - startMs} ${address}`)
    const behaviour = behaviours[address] ?? 'refuses'
    if (behaviour === 'answers') return Promise.resolve({} as Connection)
    if (behaviour === 'refuses')
      return Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))
  }
  const connector = new Connector({
    self,
    clock,
    dial: (address, signal) => behave(address.replace(`/p2p/${target}`, ''), signal),
    dialThrough: (_peer, _relay, signal) => behave(THROUGH, signal),
    relay: () => (isRelayConnected ? ({} as Connection) : undefined),
  })
  const why = (): string[] => connector.attempts(target).map(({ address, error }) => `${address}: ${error}`)
  return { clock, connector, dialled, why }
}

describe('connecting to a member', () => {
  it('tries the next address when one is silent for 750 ms, and takes what answers first', async () => {
    const { connector, clock, dialled } = create({ '/a': 'silent', '/b': 'silent', '/c': 'answers' })
    const connected = connector.direct(target, ['/a', '/b', '/c', '/d'], never)
    await clock.advance(1500)
    await connected
    expect(dialled).toEqual(['0 /a', '750 /b', '1500 /c'])
  })

  it('says of every address why it failed, until it works', async () => {
    const behaviours: Record<string, Behaviour> = { '/a': 'silent', '/b': 'refuses' }
    const { connector, clock, why } = create(behaviours)
    const failed = connector.direct(target, ['/a', '/b'], never)
    failed.catch(() => undefined) // looked at below
    await clock.advance(4000)
    await expect(failed).rejects.toThrow(Error)
    expect(why().toSorted()).toEqual(['/a: no answer within 4 s', '/b: nothing listens there (connection refused)'])
    behaviours['/b'] = 'answers'
    await connector.direct(target, ['/b'], never)
    expect(why()).toEqual(['/a: no answer within 4 s'])
  })

  it('leaves relays alone when the direct way works within a second', async () => {
    const { connector, clock, dialled } = create({ '/a': 'answers' })
    await connector.connect(target, [THROUGH, '/a'], never)
    await clock.advance(60_000)
    expect(dialled).toEqual(['0 /a'])
  })

  it('takes a relay when the direct way is silent for a second, or fails', async () => {
    const silent = create({ '/a': 'silent', [THROUGH]: 'answers' })
    const connected = silent.connector.connect(target, ['/a', THROUGH], never)
    await silent.clock.advance(1000)
    await connected
    expect(silent.dialled).toEqual(['0 /a', `1000 ${THROUGH}`])
    const refusing = create({ [THROUGH]: 'answers' })
    await refusing.connector.connect(target, [THROUGH], never)
    expect(refusing.dialled).toEqual([`0 ${THROUGH}`])
  })

  it('does not try to reach anybody through itself, or through a relay that is not connected', async () => {
    const alone = create({ [THROUGH]: 'answers' }, false)
    await expect(alone.connector.connect(target, [`/p2p/${self}/p2p-circuit`, THROUGH], never)).rejects.toThrow(Error)
    expect(alone.why()).toEqual([`${THROUGH}: not connected to the relay`])
    expect(alone.dialled).toEqual([])
  })

  it('gives up when it is told to', async () => {
    const { connector, clock, dialled } = create({ '/a': 'silent' })
    const giveUp = new AbortController()
    const failed = connector.direct(target, ['/a', '/b'], giveUp.signal)
    failed.catch(() => undefined) // looked at below
    giveUp.abort(new Error('the node stops'))
    await clock.advance(10_000)
    await expect(failed).rejects.toThrow(Error)
    expect(dialled).toEqual(['0 /a'])
  })
})

it.each([
  [Object.assign(new Error('x'), { code: 'EHOSTUNREACH' }), 'that host is not there (no route)'],
  [Object.assign(new Error('x'), { name: 'UnexpectedPeerError' }), 'another node answers there'],
  [new Error('failed to connect via relay with status NO_RESERVATION'), 'the relay does not know a way there'],
  [new Error('something new'), 'something new'],
  ['thrown as it is', 'thrown as it is'],
])('says %s in plain words', (error, words) => expect(plainReason(error)).toBe(words))

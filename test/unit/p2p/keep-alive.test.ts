import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { expect, it } from 'vitest'
import { ConnectionTable } from '../../../node/p2p/connection-table.ts'
import { keepAlive } from '../../../node/p2p/keep-alive.ts'
import { createManualClock } from '../../support/clock.ts'
import { identity } from '../../support/identity.ts'

type Answer = 'refuses' | 'is silent'

/** A table with one connection to a member that does with pings what it is told. */
function withConnection(answer: Answer) {
  const clock = createManualClock()
  const table = new ConnectionTable(() => true, clock)
  const log: string[] = []
  const connection = {
    id: 'one',
    remotePeer: identity(1).peer,
    remoteAddr: multiaddr('/ip4/127.0.0.1/tcp/1'),
    status: 'open',
    newStream: async (_protocol: string, { signal }: { signal: AbortSignal }) => {
      log.push('asked')
      if (answer === 'refuses') throw Object.assign(new Error('not served'), { name: 'UnsupportedProtocolError' })
      return await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
    abort: (error: Error) => {
      log.push(error.message)
      Object.assign(connection, { status: 'aborted' })
    },
  }
  const real = connection as unknown as Connection
  table.add(real)
  const cancel = keepAlive(table, clock)
  return { clock, log, heard: () => table.heard(real), cancel }
}

it('asks nothing of a connection over which something comes every five seconds', async () => {
  const { clock, log, heard } = withConnection('is silent')
  for (let i = 0; i < 12; i++) {
    await clock.advance(5000)
    heard()
  }
  expect(log).toEqual([])
})

it('takes a refusal for a sign of life', async () => {
  const { clock, log } = withConnection('refuses')
  await clock.advance(40_000)
  expect(log).toEqual(['asked', 'asked', 'asked', 'asked'])
})

it('cuts a connection within half a minute of the last sign of life', async () => {
  const { clock, log } = withConnection('is silent')
  await clock.advance(24_999)
  expect(log).toEqual(['asked'])
  await clock.advance(5001)
  expect(log).toEqual(['asked', 'no sign of life'])
})

it('looks at nothing any more once it is cancelled', async () => {
  const { clock, log, cancel } = withConnection('is silent')
  cancel()
  await clock.advance(60_000)
  expect(log).toEqual([])
})

import { EventEmitter } from 'node:events'
import type { WebSocket } from 'ws'
import { expect, it } from 'vitest'
import type { Actor } from '../../../crdt/actor.ts'
import { ok } from '../../../crdt/result.ts'
import { translate } from '../../../gateway/dialects/claudenest/events.ts'
import { WIRE_ERRORS } from '../../../gateway/dialects/claudenest/errors.ts'
import { Connection } from '../../../gateway/ws/pusher-connection.ts'
import { createTicketBook } from '../../../gateway/ws/tickets.ts'
import type { Services } from '../../../node/services/services.ts'
import type { SessionOutput, SessionViewer } from '../../../node/services/sessions/session-service.ts'
import { createManualClock, settle } from '../../support/clock.ts'
import { identity } from '../../support/identity.ts'
import { createRecordedLog } from '../../support/log.ts'

const actor: Actor = { kind: 'user', id: 'u', tokenId: 't1', abilities: ['*'], gateway: identity(1).peer }
const channel = 'private-session.00000000-0000-4000-8000-000000000000'

/** A socket that records what is sent; what is sent leaves only when told. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1
  readonly CLOSED = 3
  readyState = 1
  bufferedAmount = 0
  readonly events: string[] = []
  #waiting: (() => void)[] = []
  isStuck = false
  send(text: string, sent: () => void): void {
    this.events.push(JSON.parse(text).event)
    if (this.isStuck) this.#waiting.push(sent)
    else sent()
  }
  close(): void {
    this.readyState = 3
    this.emit('close')
  }
  terminate(): void {
    this.close()
  }
  pause(): void {}
  resume(): void {}
  receive(frame: object): void {
    this.emit('message', Buffer.from(JSON.stringify(frame)), false)
  }
}

function open(output: AsyncIterable<SessionOutput>, attached: Promise<void> = Promise.resolve()) {
  const clock = createManualClock()
  const socket = new FakeSocket()
  const calls: string[] = []
  const viewer: SessionViewer = {
    output,
    acknowledge: () => undefined,
    input: async (data) => void calls.push(`input ${new TextDecoder().decode(data)}`),
    resize: async () => undefined,
    close: () => void calls.push('close'),
  }
  const sessions = {
    get: async () => ok({ status: 'running' }),
    attach: async () => {
      await attached
      return ok(viewer)
    },
  }
  const connection = new Connection(
    {
      // Only these two are reached by what is tested here.
      services: { sessions } as unknown as Services,
      words: { translate, problem: (error) => WIRE_ERRORS[error.code] },
      clock,
      log: createRecordedLog(),
      stalledMs: 10_000,
      tickets: createTicketBook(clock),
      appKey: 'rookery',
      secret: new Uint8Array(32),
      authenticate: () => actor,
      onAuthenticated: () => true,
    },
    socket as unknown as WebSocket,
    { id: '1.1', address: 'loopback', origin: null },
  )
  connection.start()
  const subscribe = () =>
    socket.receive({ event: 'pusher:subscribe', data: { channel, auth: { token: 'cn_x' }, spelling: 'colon' } })
  return { connection, socket, calls, subscribe }
}

async function* exitAfter(moment: Promise<void>): AsyncGenerator<SessionOutput> {
  await moment
  yield { type: 'exit', exitCode: 0, signal: null }
}

it('refuses what is typed after the end was told, even before the telling has left', async () => {
  const end = Promise.withResolvers<void>()
  const { socket, calls, subscribe } = open(exitAfter(end.promise))
  subscribe()
  await settle()
  socket.receive({ event: 'client-session:input', channel, data: { data: 'before' } })
  await settle()
  socket.isStuck = true
  end.resolve()
  await settle()
  socket.receive({ event: 'client-session:input', channel, data: { data: 'after' } })
  await settle()
  expect(calls).toEqual(['input before'])
  expect(socket.events.slice(2)).toEqual(['session:terminated', 'pusher:error'])
})

it('[A-T3] acts for a token as soon as it has been shown, so that a revocation finds a socket that still subscribes', async () => {
  const attached = Promise.withResolvers<void>()
  const { connection, calls, socket, subscribe } = open(exitAfter(new Promise(() => undefined)), attached.promise)
  subscribe()
  await settle()
  expect([connection.actsFor('t1'), connection.actsFor('t2')]).toEqual([true, false])
  connection.close(4009, 'revoked')
  attached.resolve()
  await settle()
  expect([calls, socket.events]).toEqual([['close'], ['pusher:connection_established']])
})

it('closes the viewer when the subscriber leaves the channel or the socket goes', async () => {
  for (const leave of [
    (socket: FakeSocket) => socket.receive({ event: 'pusher:unsubscribe', data: { channel } }),
    (socket: FakeSocket) => socket.close(),
  ]) {
    const { socket, calls, subscribe } = open(exitAfter(new Promise(() => undefined)))
    subscribe()
    await settle()
    leave(socket)
    await settle()
    expect(calls).toEqual(['close'])
  }
})

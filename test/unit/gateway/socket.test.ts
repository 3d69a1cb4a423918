import { expect, it } from 'vitest'
import type { Actor } from '../../../crdt/actor.ts'
import { createDoorkeeper } from '../../../gateway/ws/doorkeeper.ts'
import { createFrameQueue, FRAMES_WAITING_MAX } from '../../../gateway/ws/frame-queue.ts'
import { createOutlet, OUTLET_BYTES_MAX } from '../../../gateway/ws/outlet.ts'
import { clientEventOf, eventFrames, parseFrame, topicOf } from '../../../gateway/ws/pusher-frames.ts'
import { createTicketBook, TICKET_TTL_MS, TICKETS_MAX } from '../../../gateway/ws/tickets.ts'
import { DEFAULT_SOCKET_LIMITS } from '../../../gateway/http/config.ts'
import { createManualClock, settle } from '../../support/clock.ts'
import { identity } from '../../support/identity.ts'

const actor: Actor = { kind: 'user', id: 'u', tokenId: 't1', abilities: ['*'], gateway: identity(1).peer }
const grant = { actor, sessionId: 's1', origin: 'http://localhost:8000' }
const use = { sessionId: 's1', origin: 'http://localhost:8000' }

it('[A-T6] redeems a ticket once, within its time, for its session and origin', async () => {
  const clock = createManualClock()
  const tickets = createTicketBook(clock)
  const good = tickets.issue(grant)
  expect([tickets.redeem(good, use), tickets.redeem(good, use)]).toEqual([actor, undefined])
  expect(tickets.redeem(tickets.issue(grant), { ...use, sessionId: 's2' })).toBe(undefined)
  expect(tickets.redeem(tickets.issue(grant), { ...use, origin: null })).toBe(undefined)
  const burnt = tickets.issue(grant)
  tickets.redeem(burnt, { ...use, origin: null })
  expect(tickets.redeem(burnt, use)).toBe(undefined)
  const late = tickets.issue(grant)
  await clock.advance(TICKET_TTL_MS)
  expect(tickets.redeem(late, use)).toBe(undefined)
})

it('voids the tickets of a revoked token', () => {
  const tickets = createTicketBook(createManualClock())
  const [gone, kept] = [tickets.issue(grant), tickets.issue({ ...grant, actor: { ...actor, tokenId: 't2' } })]
  tickets.revoke('t1')
  expect([tickets.redeem(gone, use), tickets.redeem(kept, use)?.tokenId]).toEqual([undefined, 't2'])
})

it('forgets the oldest ticket when there are too many', () => {
  const tickets = createTicketBook(createManualClock())
  const first = tickets.issue(grant)
  const second = tickets.issue(grant)
  for (let i = 2; i <= TICKETS_MAX; i++) tickets.issue(grant)
  expect([tickets.redeem(first, use), tickets.redeem(second, use)]).toEqual([undefined, actor])
})

it('counts unproved sockets per address and in all, and proved ones apart', () => {
  const limits = {
    ...DEFAULT_SOCKET_LIMITS,
    unauthenticatedMax: 3,
    unauthenticatedPerAddressMax: 2,
    authenticatedMax: 1,
  }
  const door = createDoorkeeper(limits)
  const [a1, a2] = [door.enter('a'), door.enter('a')]
  expect(door.enter('a')).toBe(undefined)
  expect([a1?.prove(), a1?.prove()]).toEqual([true, false])
  const a3 = door.enter('a')
  expect([a3 === undefined, a3?.prove()]).toEqual([false, false])
  expect(door.enter('b')).toBeDefined()
  expect(door.enter('c')).toBe(undefined)
  a2?.leave()
  a2?.leave()
  expect(door.enter('c')).toBeDefined()
  a1?.leave()
  expect(a3?.prove()).toBe(true)
})

/** A socket whose reader can be told to stall. */
function fakeSocket() {
  const callbacks: ((error?: Error) => void)[] = []
  const socket = {
    OPEN: 1 as const,
    CLOSED: 3 as const,
    readyState: 1 as 0 | 1 | 2 | 3,
    bufferedAmount: 0,
    sent: [] as string[],
    closes: [] as number[],
    terminated: 0,
    send(text: string, callback: (error?: Error) => void) {
      socket.sent.push(text)
      callbacks.push(callback)
    },
    close(code: number) {
      socket.closes.push(code)
      socket.readyState = 2
    },
    terminate() {
      socket.terminated++
      socket.readyState = 3
      for (const callback of callbacks.splice(0)) callback(new Error('gone'))
    },
    drain() {
      for (const callback of callbacks.splice(0)) callback()
    },
  }
  return socket
}

it('[A-D1] closes with 1013, then cuts, a socket whose reader stalls a flush', async () => {
  const clock = createManualClock()
  const socket = fakeSocket()
  const outlet = createOutlet(socket, clock, 10_000)
  const fast = outlet.flush('a')
  socket.drain()
  expect(await fast).toBe(true)
  const slow = outlet.flush('b')
  await clock.advance(9999)
  expect(socket.closes).toEqual([])
  await clock.advance(1)
  expect([socket.closes, socket.terminated]).toEqual([[1013], 0])
  await clock.advance(29_999)
  expect(socket.terminated).toBe(0)
  await clock.advance(1)
  expect([await slow, socket.terminated, await outlet.flush('c')]).toEqual([false, 1, false])
})

it('[A-D1] closes with 1013 a socket on which events pile up', () => {
  const socket = fakeSocket()
  const outlet = createOutlet(socket, createManualClock(), 10_000)
  socket.bufferedAmount = OUTLET_BYTES_MAX
  outlet.push('fits')
  socket.bufferedAmount = OUTLET_BYTES_MAX + 1
  outlet.push('too much')
  outlet.push('after the end')
  expect([socket.sent, socket.closes]).toEqual([['fits'], [1013]])
})

it('works on frames in order, reads no more while too many wait, and survives one that breaks', async () => {
  const log: string[] = []
  const waits: (() => void)[] = []
  const socket = { pause: () => void log.push('pause'), resume: () => void log.push('resume') }
  const enqueue = createFrameQueue<number>(
    socket,
    async (frame) => {
      await new Promise<void>((resolve) => waits.push(resolve))
      if (frame === 0) throw new Error('broken')
      log.push(`done ${frame}`)
    },
    (_error, frame) => log.push(`broken ${frame}`),
  )
  for (let i = 0; i < FRAMES_WAITING_MAX; i++) enqueue(i)
  expect(log).toEqual(['pause'])
  for (let i = 0; i < FRAMES_WAITING_MAX; i++) {
    await settle()
    waits.shift()?.()
  }
  await settle()
  const done = log.filter((line) => line.startsWith('done'))
  expect(log.slice(0, 3)).toEqual(['pause', 'broken 0', 'resume'])
  expect(done).toEqual(Array.from({ length: FRAMES_WAITING_MAX - 1 }, (_, i) => `done ${i + 1}`))
})

it('reads channels in both spellings and nothing else', () => {
  const id = '00000000-0000-4000-8000-000000000000'
  expect(topicOf(`private-session.${id}`)).toEqual({ kind: 'session', id })
  expect(topicOf(`private-projects.${id}`)).toEqual({ kind: 'project', id })
  expect(topicOf('private-mesh')).toEqual({ kind: 'mesh', id: null })
  for (const other of [`session.${id}`, `presence-session.${id}`, 'private-session.1', `private-session.${id}x`, '']) {
    expect(topicOf(other)).toBe(undefined)
  }
})

it('reads data as an object or as JSON in a string, and refuses what is no frame', () => {
  const frame = { event: 'a', channel: 'c', data: { data: 'x' } }
  expect(parseFrame(JSON.stringify(frame))).toEqual(frame)
  expect(parseFrame(JSON.stringify({ ...frame, data: '{"data":"x"}' }))).toEqual(frame)
  expect(parseFrame('{"event":"pusher:ping"}')).toEqual({ event: 'pusher:ping' })
  for (const text of ['', '[]', 'null', '{"event":1}', '{"event":""}', '{']) expect(parseFrame(text)).toBe(undefined)
})

it('knows client events as Pusher and as the document spell them', () => {
  expect(
    ['client-session:input', 'client-session.resize', 'session:terminate', 'client-other:input'].map(clientEventOf),
  ).toEqual(['input', 'resize', 'terminate', undefined])
})

it('spells an event with a colon, a dot, or both', () => {
  const named = (spelling: 'colon' | 'dot' | 'both') =>
    eventFrames('task:claimed', 'c', { data: {}, spelling }).map((text) => JSON.parse(text).event)
  expect([named('colon'), named('dot'), named('both')]).toEqual([
    ['task:claimed'],
    ['task.claimed'],
    ['task:claimed', 'task.claimed'],
  ])
})

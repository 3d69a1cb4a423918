import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { crypto } from '../support/identity.ts'
import { heldMb, INSPECTED } from '../support/inspector.ts'
import { parseTicket } from '../../protocols/ticket.ts'
import {
  api,
  createScratch,
  eventually,
  joinMesh,
  login,
  registerOwner,
  seesOnline,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'
import { descriptors, residentMb } from '../support/processes.ts'
import { Subscriber } from '../support/sockets.ts'
import { IS_LONG } from '../support/long.ts'

const FLOOD_MS = 60_000
/** What a flood may make a node hold beyond what it held; up to 5 MB are usual. */
const HELD_MB_MAX = 32
/** What it may cost a session host, uncollected garbage included; up to 20 MB are usual. */
const RESIDENT_MB_MAX = 64
/** Each look at a node is a garbage collection: not so often that the node does little else. */
const LOOK_EVERY_MS = 1000
/** Long lines, as a build prints them: the most bytes for the least work of the machine. */
const FLOOD = 'yes "$(printf %0200d 0)"\n'

let scratch: Awaited<ReturnType<typeof createScratch>>
let a: RunningNode
let b: RunningNode
let token: string
let onA: Api
let beta: string

beforeAll(async () => {
  scratch = await createScratch()
  a = await scratch.start('alpha', { env: INSPECTED })
  b = await joinMesh(scratch, a, 'beta', { env: INSPECTED })
  await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
  token = await registerOwner(a)
  onA = api(a, token)
  beta = await eventually(async () => {
    const { body } = await onA.get('/api/machines')
    return body.data.find((m: { name: string; status: string }) => m.name === 'beta' && m.status === 'online')?.id
  })
})
afterAll(() => scratch.dispose())

async function startShell(): Promise<string> {
  const created = await onA.post(`/api/machines/${beta}/sessions`, { agent: 'shell', project_path: scratch.path })
  expect(created.status).toBe(201)
  return created.body.data.session.id
}

/** The process that owns a terminal on B. */
async function hostOf(session: string): Promise<number> {
  const sessions = join(b.dataDir, 'sessions')
  const folder = (await readdir(sessions)).find((name) => name.includes(session))!
  return JSON.parse(await readFile(join(sessions, folder, 'state.json'), 'utf8')).host.pid
}

/**
 * What each process of the path holds, in MB. Of a node it is what a garbage collection leaves: resident memory tells how
 * far the collector is behind, on a busy machine by any amount. A session host has no inspector, and little memory.
 */
type Holdings = Readonly<Record<string, () => number | Promise<number>>>

async function allOnTheWay(session: string): Promise<Holdings> {
  const host = await hostOf(session)
  return { a: () => heldMb(a), b: () => heldMb(b), host: () => residentMb(host) }
}

/** Looks again and again until it is stopped, and tells then by how much each grew at most, in MB. */
async function watchMemory(holdings: Holdings): Promise<() => Promise<Record<string, number>>> {
  const look = (): Promise<[string, number][]> =>
    Promise.all(Object.entries(holdings).map(async ([name, measure]) => [name, await measure()]))
  const before = new Map(await look())
  const grown: Record<string, number> = {}
  const sample = async (): Promise<void> => {
    for (const [name, mb] of await look()) grown[name] = Math.max(grown[name] ?? 0, Math.round(mb - before.get(name)!))
  }
  const stopped = new AbortController()
  const watching = (async () => {
    while (!stopped.signal.aborted) {
      await sample()
      await delay(LOOK_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => undefined)
    }
  })()
  onTestFinished(() => stopped.abort())
  return async () => {
    stopped.abort()
    await watching
    await sample()
    return grown
  }
}

function expectBounded(what: string, grown: Record<string, number>): void {
  process.stderr.write(`${what}: ${JSON.stringify(grown)} MB\n`)
  for (const [name, mb] of Object.entries(grown))
    expect(mb, `${name} during ${what}`).toBeLessThan(name === 'host' ? RESIDENT_MB_MAX : HELD_MB_MAX)
}

describe.runIf(IS_LONG)('[A-D1] a terminal that floods, seen across the mesh', () => {
  it('costs bounded memory with no viewer, and tells a later one what it has missed', async () => {
    const session = await startShell()
    const channel = `private-session.${session}`
    const first = await Subscriber.open(a, channel, { token })
    first.type('echo rea""dy\n')
    await first.until(() => first.tail.includes('ready'))
    first.socket.close()
    const grown = await watchMemory(await allOnTheWay(session))
    expect((await onA.post(`/api/sessions/${session}/input`, { data: FLOOD })).status).toBe(200)
    await delay(FLOOD_MS / 2)
    expectBounded('a flood without a viewer', await grown())
    const later = await Subscriber.open(a, channel, { token, from: first.end })
    await later.until(() => later.has('session:gap'))
    const { data } = later.events.find(({ event }) => event === 'session:gap')!
    expect([data.from, data.to > first.end]).toEqual([first.end, true])
    later.type('\u0003')
    later.type('echo st""ill\n')
    await later.until(() => later.tail.includes('still'))
    later.socket.close()
    expect((await onA.delete(`/api/sessions/${session}`)).status).toBe(200)
  })

  it('cuts off a viewer that stops reading, and never freezes the one that reads', async () => {
    const session = await startShell()
    const channel = `private-session.${session}`
    const stalled = await Subscriber.open(a, channel, { token })
    const reader = await Subscriber.open(a, channel, { token })
    const grown = await watchMemory(await allOnTheWay(session))
    reader.type(FLOOD)
    await stalled.until(() => stalled.outputBytes > 1024 * 1024)
    stalled.socket.pause()
    const pausedAtMs = performance.now()
    const windows: number[] = []
    for (const end = pausedAtMs + FLOOD_MS; performance.now() < end;) {
      const before = reader.outputBytes
      await delay(1000)
      windows.push(reader.outputBytes - before)
    }
    expectBounded('a flood with a stalled viewer', await grown())
    process.stderr.write(`read per second: ${windows.map((n) => (n / 1e6).toFixed(1)).join(' ')} MB\n`)
    expect(Math.min(...windows)).toBeGreaterThan(0)
    stalled.socket.resume()
    await stalled.until(() => stalled.closedWith !== undefined)
    expect(stalled.closedWith?.code).toBe(1013)
    reader.type('\u0003')
    reader.type('echo st""ill\n')
    await reader.until(() => reader.tail.includes('still'))
    expect(reader.has('session:gap')).toBe(false)
    reader.socket.close()
    expect((await onA.delete(`/api/sessions/${session}`)).status).toBe(200)
  })
})

describe('[A-D1] a node under a flood of connections', () => {
  const hostile: { destroy(): void }[] = []
  afterAll(() => {
    for (const one of hostile) one.destroy()
  })

  async function silent(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1').resume() // reading, so as to notice the end
    hostile.push(socket)
    // Some are reset before they know that they were connected.
    await new Promise((resolve) =>
      socket
        .once('connect', resolve)
        .once('close', resolve)
        .on('error', () => undefined),
    )
    return socket
  }

  it('serves honest users and members all the while, within bounded memory, and lets go of the rest', async () => {
    const { json } = await a.cli('invite')
    const ticket = parseTicket(crypto, json.ticket, Date.now())
    if (!ticket.ok) throw new Error(ticket.error.message)
    const p2p = Number(/\/tcp\/(\d+)/.exec(ticket.value.addresses[0]!)?.[1])
    const http = Number(new URL(a.http).port)
    const before = descriptors(a.process.pid!)
    const grown = await watchMemory({ a: () => heldMb(a) })
    const beganMs = performance.now()

    const idle = await Promise.all(Array.from({ length: 200 }, (_, i) => [silent(http), silent(p2p)][i % 2]!))
    idle.push(...(await Promise.all(Array.from({ length: 200 }, (_, i) => [silent(p2p), silent(http)][i % 2]!))))
    const slow = await Promise.all(Array.from({ length: 100 }, () => silent(http)))
    for (const socket of slow) socket.write(`GET /api/health HTTP/1.1\r\nHost: 127.0.0.1:${http}\r\n`)
    const drip = setInterval(() => {
      for (const [i, socket] of slow.entries()) socket.write(`X-${i}: a\r\n`)
    }, 1000)
    onTestFinished(() => clearInterval(drip))
    const unproved = Array.from({ length: 300 }, () => {
      const socket = new WebSocket(`${a.http.replace(/^http/, 'ws')}/app/rookery`).on('error', () => undefined)
      hostile.push({ destroy: () => socket.terminate() })
      return socket
    })
    const codes = new Map<number, number>()
    for (const socket of unproved) socket.once('close', (code) => codes.set(code, (codes.get(code) ?? 0) + 1))
    for (const socket of unproved.slice(0, 8))
      socket.once('open', () => socket.send('x'.repeat(1024 * 1024 + 1), () => undefined))

    const tookMs: number[] = []
    const timed = async <T>(act: () => Promise<T>): Promise<T> => {
      const began = performance.now()
      const value = await act()
      tookMs.push(Math.round(performance.now() - began))
      return value
    }
    for (let i = 0; i < 50; i++) expect((await timed(() => onA.get('/api/machines'))).status).toBe(200)
    expect(await timed(() => login(a))).toMatch(/^cn_/)
    // A member that comes back while strangers hold the door.
    await b.stop()
    await timed(async () => {
      b = await scratch.start('beta', { dataDir: b.dataDir, args: ['--http', '127.0.0.1:0'] })
      await seesOnline(a, [a.peerId, b.peerId])
    })
    process.stderr.write(`slowest request ${Math.max(...tookMs.slice(0, 50))} ms, sign-in ${tookMs[50]} ms, `)
    process.stderr.write(`a member's return ${tookMs[51]} ms\n`)

    await eventually(() => (idle.every((socket) => socket.destroyed || socket.closed) ? true : undefined), 40_000)
    await eventually(() => (slow.every((socket) => socket.destroyed || socket.closed) ? true : undefined), 40_000)
    await eventually(
      () => (unproved.every(({ readyState }) => readyState === WebSocket.CLOSED) ? true : undefined),
      40_000,
    )
    const drainedMs = Math.round(performance.now() - beganMs)
    // All of loopback counts as one address, so its sockets that prove nothing have taken the room until now.
    const honest = await Subscriber.open(a, 'private-mesh', { token })
    honest.socket.close()
    process.stderr.write(`drained after ${drainedMs} ms, sockets closed with ${JSON.stringify([...codes])}\n`)
    expect([...codes.keys()]).toEqual(expect.arrayContaining([1009, 4100]))
    await eventually(() => (descriptors(a.process.pid!) <= before + 8 ? true : undefined), 20_000)
    expectBounded('a flood of connections', await grown())
  })
})

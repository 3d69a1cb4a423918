import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as othersTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MachineId, type SessionId } from '../../../crdt/ids.ts'
import { createBridgedHosts } from '../../../node/adapters/bridged/bridged-hosts.ts'
import { BRIDGE_TIMING, type BridgeTiming } from '../../../node/adapters/bridged/bridged-session.ts'
import type { AgentLink, AgentOrder, AgentReport, BridgedHosts } from '../../../node/ports/agent-link.ts'
import type { BridgedSpec, HostedSession } from '../../../node/ports/session-host.ts'
import { VIEWER_WINDOW_BYTES } from '../../../protocols/session-stream.ts'
import { identity } from '../../support/identity.ts'
import { createRecordedLog } from '../../support/log.ts'
import { consume, sessionId, watch } from '../../support/session-lab.ts'

const MACHINE = MachineId.parse('11111111-1111-4111-8111-111111111111')
const OTHER = MachineId.parse('22222222-2222-4222-8222-222222222222')

const specOf = (n: number, change: Partial<BridgedSpec> = {}): BridgedSpec => ({
  id: sessionId(n),
  machine: MACHINE,
  mode: 'interactive',
  agent: 'claude',
  projectPath: '/work',
  prompt: null,
  size: { cols: 120, rows: 40 },
  createdAt: '2027-01-15T08:00:00.000Z',
  createdBy: 'user-1',
  gateway: identity(1).peer,
  ...change,
})

type Stage = {
  readonly hosts: BridgedHosts
  /** Resolves when the session is as wanted. */
  until(id: SessionId, isSo: (session: HostedSession<BridgedSpec>) => boolean): Promise<HostedSession<BridgedSpec>>
  /** As after a restart of the node. */
  again(): Promise<Stage>
}

const stageIn = (dataDir: string, timing: Partial<BridgeTiming>): Stage => {
  const hosts = createBridgedHosts({ dataDir, log: createRecordedLog(), timing: { ...BRIDGE_TIMING, ...timing } })
  onTestFinished(() => hosts.close())
  return {
    hosts,
    until: (id, isSo) =>
      new Promise((resolve) => {
        const look = (session: HostedSession<BridgedSpec> | undefined): void => {
          if (session?.spec.id !== id || !isSo(session)) return
          stop()
          resolve(session)
        }
        const stop = hosts.onChange(look)
        look(hosts.get(id))
      }),
    async again() {
      await hosts.close()
      const next = stageIn(dataDir, timing)
      await next.hosts.recover()
      return next
    },
  }
}

function openStage(timing: Partial<BridgeTiming> = {}): Stage & { readonly dataDir: string } {
  const dataDir = mkdtempSync(join(tmpdir(), 'rk-bridged-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  return { ...stageIn(dataDir, timing), dataDir }
}

type Agent = AgentLink & {
  readonly orders: AgentOrder[]
  say(report: AgentReport): void
  print(id: SessionId, text: string): void
}

/** The other end of the link: says at once that what it is told to create runs, unless told otherwise. */
function linkTo({ hosts }: Pick<Stage, 'hosts'>, answer?: (order: AgentOrder, agent: Agent) => void): Agent {
  const agent: Agent = {
    orders: [],
    send(order) {
      agent.orders.push(order)
      if (answer) answer(order, agent)
      else if (order.type === 'create') agent.say({ type: 'status', id: order.id, status: 'running', problem: null })
      return true
    },
    say: (report) => void hosts.take(MACHINE, report),
    print: (id, text) => agent.say({ type: 'output', id, text, stream: 'output' }),
  }
  hosts.connect(MACHINE, agent)
  return agent
}

const hasEnded = ({ state }: HostedSession<BridgedSpec>): boolean => state.status !== 'running'
const typesOf = ({ orders }: Agent): string[] => orders.map(({ type }) => type)

describe('a bridged session', () => {
  it('keeps what its agent printed before it said that it runs', async () => {
    const stage = openStage()
    linkTo(stage, ({ type, id }, agent) => {
      if (type !== 'create') return
      agent.print(id, 'first ')
      agent.say({ type: 'status', id, status: 'running', problem: null })
      agent.print(id, 'second')
    })
    expect(await stage.hosts.start(specOf(1))).toMatchObject({ ok: true })
    const seen = await consume(await watch(stage.hosts, sessionId(1)), (text) => text.includes('second'))
    expect(seen.text.toString()).toBe('first second')
    const logs = await stage.hosts.logs(sessionId(1), { limit: 10, bytesMax: 1000 })
    expect(logs.map(({ data }) => data).join('')).toBe('first second')
  })

  it('is shown to nobody, and leaves nothing, when its agent refuses it or says nothing', async () => {
    const stage = openStage({ beginMs: 20 })
    const told: unknown[] = []
    stage.hosts.onChange((session) => told.push(session))
    const agent = linkTo(stage, ({ type, id }, self) => {
      if (type === 'create' && id === sessionId(1))
        self.say({
          type: 'refused',
          order: 'create',
          id: undefined,
          isUnknown: false,
          message: 'Maximum sessions reached',
        })
    })
    const problems = await Promise.all([stage.hosts.start(specOf(1)), stage.hosts.start(specOf(2))])
    expect(problems).toMatchObject(
      [
        { ok: false, error: { code: 'session_failed', message: /Maximum sessions reached/ } },
        { ok: false, error: { code: 'session_failed', message: /did not answer within/ } },
      ].map((one) => ({ ...one, error: { ...one.error, message: expect.stringMatching(one.error.message) } })),
    )
    expect([stage.hosts.list(), told]).toEqual([[], []])
    // What it starts all the same is ended.
    agent.print(sessionId(2), 'late')
    expect(agent.orders.at(-1)).toEqual({ type: 'terminate', id: sessionId(2), force: true })
  })

  it('cannot begin without its agent', async () => {
    const stage = openStage()
    linkTo(stage)
    expect(await stage.hosts.start(specOf(1, { machine: OTHER }))).toMatchObject({
      ok: false,
      error: { code: 'machine_offline' },
    })
  })

  it('takes the end from whatever its agent says of it', async () => {
    const stage = openStage({ exitMs: 1 })
    const agent = linkTo(stage)
    const ends: Record<number, AgentReport[]> = {
      1: [{ type: 'exited', id: sessionId(1), exitCode: 7 }],
      2: [
        { type: 'status', id: sessionId(2), status: 'error', problem: null },
        { type: 'exited', id: sessionId(2), exitCode: 9 },
        { type: 'exited', id: sessionId(2), exitCode: 10 },
      ],
      3: [{ type: 'status', id: sessionId(3), status: 'error', problem: 'out of memory' }],
      4: [{ type: 'status', id: sessionId(4), status: 'completed', problem: null }],
      5: [{ type: 'status', id: sessionId(5), status: 'terminated', problem: null }],
    }
    const states = []
    for (const [n, reports] of Object.entries(ends)) {
      await stage.hosts.start(specOf(Number(n)))
      for (const report of reports) agent.say(report)
      const { state } = await stage.until(sessionId(Number(n)), hasEnded)
      states.push([state.status, state.exitCode, state.killed, state.problem])
    }
    expect(states).toEqual([
      ['exited', 7, false, null],
      ['exited', 9, false, null],
      ['failed', null, false, 'out of memory'],
      ['exited', null, false, null],
      ['exited', null, true, 'It was ended on its machine.'],
    ])
  })

  it('waits for input when its agent says so', async () => {
    const stage = openStage()
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    agent.say({ type: 'status', id: sessionId(1), status: 'waiting_input', problem: null })
    expect(stage.hosts.get(sessionId(1))?.state.waiting).toBe(true)
  })

  it('is told to wait or not so often only, whatever its agent says, and rightly in the end', async () => {
    const stage = openStage({ waitingEveryMs: 1 })
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    const told: boolean[] = []
    stage.hosts.onChange(({ state }) => told.push(state.waiting))
    for (let i = 0; i < 1000; i++)
      agent.say({ type: 'status', id: sessionId(1), status: i % 2 ? 'running' : 'waiting_input', problem: null })
    await stage.until(sessionId(1), ({ state }) => !state.waiting)
    expect(told).toEqual([true, false])
  })

  it('gets what is typed as whole characters, and says when its agent is not there', async () => {
    const stage = openStage()
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    const bytes = new TextEncoder().encode('ä')
    await stage.hosts.input(sessionId(1), bytes.subarray(0, 1))
    await stage.hosts.input(sessionId(1), bytes.subarray(1))
    expect(agent.orders.at(-1)).toEqual({ type: 'input', id: sessionId(1), text: 'ä' })
    stage.hosts.disconnect(MACHINE, agent)
    const away = { ok: false, error: { code: 'machine_offline' } }
    expect(await stage.hosts.input(sessionId(1), bytes)).toMatchObject(away)
    expect(await stage.hosts.resize(sessionId(1), { cols: 100, rows: 30 })).toMatchObject(away)
  })

  it('refuses what is typed while its agent reads nothing', async () => {
    const stage = openStage()
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    stage.hosts.disconnect(MACHINE, agent)
    stage.hosts.connect(MACHINE, { send: () => false })
    expect(await stage.hosts.input(sessionId(1), new TextEncoder().encode('ls'))).toMatchObject({
      ok: false,
      error: { code: 'limit_reached' },
    })
  })

  it('is ended by force when its agent does not end it, and over when that says nothing', async () => {
    const stage = openStage({ terminateMs: 10, forceMs: 10 })
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    await stage.hosts.kill(sessionId(1))
    expect(agent.orders.slice(1)).toEqual([
      { type: 'terminate', id: sessionId(1), force: false },
      { type: 'terminate', id: sessionId(1), force: true },
    ])
    const { state } = await stage.until(sessionId(1), ({ state }) => state.problem !== null)
    expect([state.status, state.killed, state.problem]).toEqual([
      'exited',
      true,
      'Its agent did not say that it has ended.',
    ])
  })
})

describe('a bridged session whose agent is away', () => {
  it('ends when the time is up, with what is known; its program is ended when the agent comes after all', async () => {
    const stage = openStage({ noteMs: 1, graceMs: 30 })
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    stage.hosts.disconnect(MACHINE, agent)
    const { state: away } = await stage.until(sessionId(1), ({ state }) => state.problem !== null)
    expect([away.status, away.problem]).toEqual(['running', expect.stringContaining('Its agent is not connected')])
    const { state } = await stage.until(sessionId(1), hasEnded)
    expect([state.status, state.problem]).toEqual([
      'failed',
      'Its agent did not come back within 0.0005 minutes; whether its program still runs is not known.',
    ])
    const back = linkTo(stage)
    expect(back.orders).toEqual([{ type: 'terminate', id: sessionId(1), force: true }])
    back.print(sessionId(1), 'still here')
    expect(back.orders).toHaveLength(1)
    back.say({ type: 'status', id: sessionId(1), status: 'terminated', problem: null })
    expect(linkTo(stage).orders).toEqual([])
  })

  it('goes on when it comes back in time', async () => {
    const stage = openStage({ noteMs: 1, graceMs: 60_000 })
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    stage.hosts.disconnect(MACHINE, agent)
    await stage.until(sessionId(1), ({ state }) => state.problem !== null)
    const back = linkTo(stage)
    expect(stage.hosts.get(sessionId(1))?.state).toMatchObject({ status: 'running', problem: null })
    // The socket before may tell only now that it is closed.
    stage.hosts.disconnect(MACHINE, agent)
    back.print(sessionId(1), 'back')
    const seen = await consume(await watch(stage.hosts, sessionId(1)), (text) => text.includes('back'))
    expect(seen.text.toString()).toBe('back')
  })

  it('is asked about when it has come back: one that it does not know is over', async () => {
    const stage = openStage()
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    stage.hosts.disconnect(MACHINE, agent)
    const back = linkTo(stage)
    stage.hosts.inquire(MACHINE)
    expect(typesOf(back)).toEqual(['inquire'])
    back.say({ type: 'refused', order: 'inquire', id: sessionId(1), isUnknown: true, message: 'not found' })
    const { state } = await stage.until(sessionId(1), hasEnded)
    expect(state.problem).toContain('does not know the session any more')
  })

  it('goes on over a restart of the gateway: positions of output never come twice', async () => {
    const stage = openStage({ graceMs: 60_000 })
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    agent.print(sessionId(1), 'before')
    const restarted = await stage.again()
    expect(restarted.hosts.list()).toMatchObject([{ state: { status: 'running' } }])
    linkTo(restarted).print(sessionId(1), 'after')
    const all = await consume(await watch(restarted.hosts, sessionId(1), 0), (text) => text.includes('after'))
    expect([all.gaps, all.text.toString()]).toEqual([[{ from: 0, to: 6 }], 'after'])
    const logs = await restarted.hosts.logs(sessionId(1), { limit: 10, bytesMax: 1000 })
    expect(logs.map(({ data }) => data).join('')).toBe('beforeafter')
  })

  it('is removed with all that is kept of it, none of which others can read', async () => {
    const stage = openStage()
    linkTo(stage)
    await stage.hosts.start(specOf(1))
    const folder = join(stage.dataDir, 'bridged', sessionId(1))
    expect(statSync(folder).mode & 0o077).toBe(0)
    for (const file of ['spec.json', 'state.json', 'log.jsonl'])
      expect(statSync(join(folder, file)).mode & 0o077).toBe(0)
    stage.hosts.forget(MACHINE)
    await stage.hosts.remove(sessionId(1))
    expect(() => statSync(folder)).toThrow('ENOENT')
    expect((await stage.again()).hosts.list()).toEqual([])
  })
})

describe('viewers of a bridged session', () => {
  it('who fall behind have a gap, and hold up nobody', async () => {
    const stage = openStage()
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    const slow = await watch(stage.hosts, sessionId(1))
    const quick = consume(await watch(stage.hosts, sessionId(1)), (text) => text.includes('the end'))
    for (let i = 0; i < 64; i++) {
      agent.print(sessionId(1), 'x'.repeat(64 * 1024))
      await othersTurn()
    }
    agent.print(sessionId(1), 'the end')
    expect((await quick).gaps).toEqual([])
    const seen = await consume(slow, (text) => text.includes('the end'))
    expect(seen.gaps[0]?.from).toBe(VIEWER_WINDOW_BYTES)
    expect(seen.next).toBe(64 * 64 * 1024 + 'the end'.length)
  })

  it('get the exit after the last byte', async () => {
    const stage = openStage()
    const agent = linkTo(stage)
    await stage.hosts.start(specOf(1))
    const seen = consume(await watch(stage.hosts, sessionId(1)))
    agent.print(sessionId(1), 'bye')
    agent.say({ type: 'exited', id: sessionId(1), exitCode: 0 })
    expect(await seen).toMatchObject({ last: { type: 'exit', exitCode: 0, signal: null }, next: 3 })
  })
})

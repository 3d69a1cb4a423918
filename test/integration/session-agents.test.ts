import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Result } from '../../crdt/result.ts'
import type { Session, SessionInput, SessionLogEntry } from '../../crdt/session.ts'
import type { AgentCommands } from '../../node/services/sessions/agent-commands.ts'
import { agentStream, createStandIns, type StandIns } from '../support/agent-stand-ins.ts'
import { createSessionMesh, type SessionMesh } from '../support/session-mesh.ts'

let agents: StandIns
let world: SessionMesh
beforeEach(() => void (agents = createStandIns()))
afterEach(async () => {
  await world.end()
  agents.remove()
})

/** Sessions are asked for by the first node, run on the second one's machine, and are looked at from the first. */
async function open(configured: AgentCommands = {}): Promise<void> {
  const environment = { PATH: `${agents.bin}:/usr/local/bin:/usr/bin:/bin`, HOME: agents.home }
  world = await createSessionMesh({ environment, agents: configured })
}

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${JSON.stringify(result.error.details)}`)
  return result.value
}

async function start(input: SessionInput): Promise<Session> {
  const [near, far] = world.nodes
  return value(await near.sessions.create(near.actor, far.machineId, { projectPath: agents.home, ...input }))
}
const now = async ({ id }: Session): Promise<Session> => value(await world.nodes[0].sessions.get(id))

async function until(session: Session, isSo: (session: Session) => boolean): Promise<Session> {
  let seen = await now(session)
  while (!isSo(seen)) {
    await delay(20)
    seen = await now(session)
  }
  return seen
}
const ended = (session: Session): Promise<Session> => until(session, ({ endedAt }) => endedAt !== null)
const become = (session: Session, status: Session['status']): Promise<Session> =>
  until(session, (seen) => seen.status === status)

async function logs({ id }: Session): Promise<readonly SessionLogEntry[]> {
  const [near] = world.nodes
  return value(await near.sessions.logs(near.actor, id, { limit: 1000 }))
}
const type = async ({ id }: Session, text: string): Promise<void> => {
  const [near] = world.nodes
  value(await near.sessions.input(near.actor, id, text))
}

test.each([
  ['claude', 'claude-oneshot', { inputTokens: 42, outputTokens: 10, costUsd: 0.00040449999999999997 }],
  ['codex', 'codex', { inputTokens: 200, outputTokens: 40, costUsd: null }],
  ['opencode', 'opencode', { inputTokens: 100, outputTokens: 20, costUsd: 0.0001 }],
  ['gemini', 'gemini', { inputTokens: 100, outputTokens: 28, costUsd: null }],
] as const)(
  'a oneshot %s reads its prompt, prints its records, ends, and what it used is known on every node',
  async (agent, stream, usage) => {
    await open()
    const prompt = `the secret is 42\n--yes "$(id)" ü`
    const session = await start({ mode: 'oneshot', agent, initialPrompt: prompt })
    expect(await ended(session)).toMatchObject({ agent, mode: 'oneshot', status: 'completed', exitCode: 0, usage })
    expect([agents.inputOf(agent), agents.argumentsOf(agent).join(' ').includes('secret')]).toEqual([prompt, false])
    const records = agentStream(stream).split('\n').slice(0, -1)
    expect((await logs(session)).map(({ type: kind, data, metadata }) => [kind, data, metadata])).toEqual([
      ['input', prompt, {}],
      ...records.map((line) => ['output', `${line}\n`, { record: JSON.parse(line).type }]),
    ])
  },
)

test('a headless claude waits for what is typed, line by line, and says what it has used so far', async () => {
  await open()
  const session = await start({ mode: 'headless', agent: 'claude' })
  expect(session).toMatchObject({ status: 'waiting_input', usage: null })
  await type(session, 'first\r')
  const usage = { inputTokens: 21, outputTokens: 5, costUsd: 0.00020224999999999998 }
  expect(await until(session, (seen) => seen.usage !== null)).toMatchObject({ status: 'waiting_input', usage })
  await type(session, 'sec')
  await type(session, 'ond\n')
  // Figures alone are written once a minute.
  await until(session, () => {
    void world.mesh.clock.advance(10_000)
    return world.nodes[1].hosts.get(session.id)?.state.usage?.inputTokens === 42
  })
  const messages = agents.inputOf('claude').trim().split('\n')
  expect(messages.map((line) => JSON.parse(line).message.content[0].text)).toEqual(['first', 'second'])
  value(await world.nodes[0].sessions.remove(world.nodes[0].actor, session.id))
  expect(await ended(session)).toMatchObject({
    status: 'terminated',
    usage: { inputTokens: 42, outputTokens: 10, costUsd: 0.00040449999999999997 },
  })
})

test('a headless claude with a prompt works, and then waits', async () => {
  await open()
  const session = await start({ mode: 'headless', agent: 'claude', initialPrompt: 'several\nlines' })
  await become(session, 'waiting_input')
  expect(JSON.parse(agents.inputOf('claude')).message.content).toEqual([{ type: 'text', text: 'several\nlines' }])
})

test('a claude in a terminal has used what its own transcript says, and its agents', async () => {
  await open()
  const session = await start({ mode: 'interactive', agent: 'claude' })
  const hosted = () => world.nodes[1].hosts.get(session.id)?.state.usage
  const used = (inputTokens: number, outputTokens: number) => ({ inputTokens, outputTokens, costUsd: null })
  expect([session.usage, agents.argumentsOf('claude')]).toEqual([null, ['--session-id', session.id]])
  while (hosted()?.inputTokens !== 21) await delay(20)
  await type(session, '\n')
  while (hosted()?.inputTokens !== 42) await delay(20)
  expect([await now(session), hosted()]).toMatchObject([{ status: 'running', usage: null }, used(42, 10)])
  await world.mesh.clock.advance(60_000)
  expect((await until(session, ({ usage }) => usage !== null)).usage).toEqual(used(42, 10))
  // The last look is at the end.
  await type(session, '\n\n')
  expect(await ended(session)).toMatchObject({ status: 'completed', usage: used(84, 20) })
})

test('an agent that fails is an error with its exit code, and what it did not say is not known', async () => {
  await open()
  agents.install('codex', `cat > /dev/null; echo '{"type":"turn.failed"}'; echo 'no account' >&2; exit 3`)
  const session = await start({ mode: 'headless', agent: 'codex', initialPrompt: 'hi' })
  expect(await ended(session)).toMatchObject({
    status: 'error',
    exitCode: 3,
    problem: 'The program ended with exit code 3.',
    usage: null,
  })
  expect((await logs(session)).map(({ type: kind, data }) => [kind, data])).toEqual([
    ['input', 'hi'],
    ['output', '{"type":"turn.failed"}\n'],
    ['error', 'no account\n'],
  ])
})

test('an agent that only this machine knows runs as it is configured, and is listed by its name', async () => {
  agents.install('crow', `printf '{"type":"turn.completed","usage":{"input_tokens":3,"output_tokens":2}}'`)
  await open({ crow: { file: `${agents.bin}/crow`, oneshot: ['--say', '{prompt}'], records: 'codex' } })
  const session = await start({ mode: 'oneshot', agent: 'crow', initialPrompt: 'caw' })
  // Its last line has no end.
  expect(await ended(session)).toMatchObject({
    agent: 'crow',
    usage: { inputTokens: 3, outputTokens: 2, costUsd: null },
  })
  expect(agents.argumentsOf('crow')).toEqual(['--say', 'caw'])
})

test('a long record is one entry up to 64 kB, and entries that say so beyond', async () => {
  await open()
  const record = { type: 'item.completed', item: { text: 'ü'.repeat(80_000) } }
  agents.install('codex', `cat > /dev/null; cat <<'END'\n${JSON.stringify(record)}\nEND`)
  const session = await start({ mode: 'oneshot', agent: 'codex', initialPrompt: 'hi' })
  await ended(session)
  const entries = (await logs(session)).filter(({ type: kind }) => kind === 'output')
  expect(entries.map(({ metadata }) => metadata)).toEqual([
    { record: 'item.completed', continues: true },
    { record: 'item.completed' },
  ])
  expect(JSON.parse(entries.map(({ data }) => data).join(''))).toEqual(record)
})

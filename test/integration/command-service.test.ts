import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import type { Execution } from '../../crdt/execution.ts'
import type { Result } from '../../crdt/result.ts'
import { startOf } from '../../node/hosts/process-table.ts'
import { QUEUE_MAX } from '../../node/services/commands/execution-queue.ts'
import { createCommandMesh, shell, writeScripts, type CommandMesh } from '../support/command-mesh.ts'
import { eventually } from '../support/nodes.ts'
import { consume } from '../support/session-lab.ts'

let world: CommandMesh
afterEach(async () => await world.end())

const never = (): AbortSignal => new AbortController().signal

function value<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}
const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)

/** Asks node 0 to run a shell line on the machine of node 1. */
async function run(line: string): Promise<Execution> {
  const [{ commands, actor }, { machineId }] = world.nodes
  const [command] = value(await commands.register(actor, machineId, [shell(line, line)])).commands
  return value(await commands.execute(actor, machineId, { id: command!.id, arguments: [], options: [] }))
}

const seenBy = (at: 0 | 1, { id }: Execution): Promise<Execution> =>
  world.nodes[at].commands.execution(id).then((result) => value(result))
const over = async ({ id }: Execution): Promise<Execution> =>
  value(await world.nodes[0].commands.ended(id, AbortSignal.timeout(20_000)))
const isRunning = (execution: Execution) =>
  eventually(async () => ((await seenBy(0, execution)).status === 'running' ? true : undefined))

const toldOf = ({ id }: Execution): string[] =>
  world.nodes[0].node.told.flatMap((event) => ('execution' in event && event.execution.id === id ? [event.type] : []))

let sleepers = 0
/** Sleeps; its process is the answer. */
async function sleeper(): Promise<{ execution: Execution; pid: number }> {
  const file = join(world.folder, `pid-${++sleepers}`)
  const execution = await run(`sleep 4711 & echo $! > '${file}.new'; mv '${file}.new' '${file}'; wait`)
  await eventually(() => existsSync(file) || undefined)
  return { execution, pid: Number(readFileSync(file, 'utf8')) }
}

test('commands run a few at a time, in the order in which they were asked for', async () => {
  world = await createCommandMesh({ concurrent: 1 })
  const go = join(world.folder, 'go')
  const first = await run(`while ! [ -e '${go}' ]; do sleep 0.05; done`)
  const [second, third] = [await run('echo second'), await run('echo third')]
  await isRunning(first)
  expect([(await seenBy(0, second)).status, (await seenBy(0, third)).status]).toEqual(['queued', 'queued'])
  writeFileSync(go, '')
  const [a, b, c] = [await over(first), await over(second), await over(third)]
  expect([a.status, b.status, c.status]).toEqual(['completed', 'completed', 'completed'])
  expect(b.startedAt! >= a.endedAt! && c.startedAt! >= b.endedAt!).toBe(true)
  expect(toldOf(second)).toEqual(['execution.queued', 'execution.started', 'execution.ended'])
})

test('one that waits is cancelled without ever being started', async () => {
  world = await createCommandMesh({ concurrent: 1 })
  const { execution: first } = await sleeper()
  const marker = join(world.folder, 'ran')
  const second = await run(`touch '${marker}'`)
  const [{ commands, actor }] = world.nodes
  expect(value(await commands.cancel(actor, second.id))).toMatchObject({ status: 'cancelled', startedAt: null })
  value(await commands.cancel(actor, first.id))
  const third = await over(await run('true'))
  expect([third.status, existsSync(marker)]).toEqual(['completed', false])
})

test('the queue has an end, and says so', async () => {
  world = await createCommandMesh({ concurrent: 1 })
  const { execution } = await sleeper()
  const [{ commands, actor }, { machineId }] = world.nodes
  const [command] = value(await commands.register(actor, machineId, [shell('true', 'true')])).commands
  const call = { id: command!.id, arguments: [], options: [] }
  for (let n = 0; n < QUEUE_MAX; n++) value(await commands.execute(actor, machineId, call))
  expect(codeOf(await commands.execute(actor, machineId, call))).toBe('limit_reached')
  expect((await seenBy(0, execution)).status).toBe('running')
})

test('a command that runs for too long is ended with all it started', async () => {
  world = await createCommandMesh({ timeLimitMs: 1500 })
  const { execution, pid } = await sleeper()
  expect(await over(execution)).toMatchObject({
    status: 'timed_out',
    problem: 'It ran longer than this machine allows (1.5 s).',
  })
  expect(startOf(pid)).toBeUndefined()
})

test('when the node stops, what runs is ended and what waits is told', async () => {
  world = await createCommandMesh({ concurrent: 1 })
  const { execution, pid } = await sleeper()
  const waiting = await run('true')
  await world.nodes[1].commands.endAll()
  expect(startOf(pid)).toBeUndefined()
  const problem = 'The node of the machine was stopped.'
  expect(await over(execution)).toMatchObject({ status: 'cancelled', problem })
  expect(await over(waiting)).toMatchObject({ status: 'cancelled', problem, startedAt: null })
})

test('after a crash what ran or waited is lost, said so, and runs no more; what ended by itself is known', async () => {
  world = await createCommandMesh({ concurrent: 2 })
  const go = join(world.folder, 'go')
  const { execution, pid } = await sleeper()
  const file = join(world.folder, 'ending')
  const ending = await run(`echo $$ > '${file}'; while ! [ -e '${go}' ]; do sleep 0.05; done; exit 5`)
  await isRunning(ending)
  const endingPid = await eventually(() => (existsSync(file) && Number(readFileSync(file, 'utf8'))) || undefined)
  const waiting = await run('true')
  const { hosts } = world.nodes[1]
  world.nodes[1].commands.stop()
  await hosts.close()
  writeFileSync(go, '')
  await eventually(() => (startOf(endingPid) === undefined ? true : undefined))
  await world.crash()
  expect(startOf(pid)).toBeUndefined()
  expect(await over(execution)).toMatchObject({ status: 'lost', endedAt: expect.any(String) })
  expect(await over(waiting)).toMatchObject({ status: 'lost', problem: 'The node ended before it was its turn.' })
  expect(await over(ending)).toMatchObject({ status: 'failed', exitCode: 5 })
  expect((await over(await run('true'))).status).toBe('completed')
})

test('what a removed member asked for is ended', async () => {
  world = await createCommandMesh()
  const { execution, pid } = await sleeper()
  world.mesh.remove(world.nodes[0].node)
  const { commands } = world.nodes[1]
  expect(value(await commands.ended(execution.id, AbortSignal.timeout(20_000)))).toMatchObject({
    status: 'cancelled',
    problem: 'The member that asked for it was removed.',
  })
  expect(startOf(pid)).toBeUndefined()
})

test('what a member asked for when it was removed never runs', async () => {
  world = await createCommandMesh()
  const [near, far] = world.nodes
  near.node.events.subscribe(({ type }) => {
    if (type === 'execution.queued') world.mesh.remove(near.node)
  })
  const { id } = await run('true')
  expect(value(await far.commands.ended(id, AbortSignal.timeout(20_000)))).toMatchObject({
    status: 'cancelled',
    problem: 'The member that asked for it was removed.',
    startedAt: null,
  })
})

test('what was asked for when the node stopped is said to be cancelled', async () => {
  world = await createCommandMesh()
  const [near, far] = world.nodes
  const stopped = Promise.withResolvers<void>()
  near.node.events.subscribe(({ type }) => {
    if (type === 'execution.queued') stopped.resolve(far.commands.endAll())
  })
  const { id } = await run('true')
  await stopped.promise
  expect(value(await far.commands.execution(id))).toMatchObject({
    status: 'cancelled',
    problem: 'The node of the machine was stopped.',
    startedAt: null,
  })
})

test('the machine has the last word, and writes down whom it refused', async () => {
  world = await createCommandMesh()
  const [{ commands, actor }, second] = world.nodes
  const execution = await over(await run('echo secret'))
  second.policy.refuses = 'This machine runs no commands for others (commands.remote).'
  const { machineId } = second
  const call = { id: execution.commandId, arguments: [], options: [] }
  const refused = await commands.execute(actor, machineId, call)
  expect(refused).toMatchObject({ ok: false, error: { code: 'machine_refused', message: second.policy.refuses } })
  const logs = await commands.logs(actor, execution.id, { limit: 1 })
  expect([codeOf(logs), codeOf(await commands.clear(actor, machineId))]).toEqual(['machine_refused', 'machine_refused'])
  expect(second.audited.map(({ action, outcome }) => [action, outcome])).toEqual([
    ['command.execute', 'denied'],
    ['command.logs', 'denied'],
    ['command.clear', 'denied'],
  ])
})

test('a token does what its abilities say, on the asking node and on the machine', async () => {
  world = await createCommandMesh()
  const [{ commands, actor }, { machineId }] = world.nodes
  const execution = await over(await run('echo x'))
  const call = { id: execution.commandId, arguments: [], options: [] }
  const as = (...abilities: string[]) => ({ ...actor, abilities })
  const page = { page: 1, perPage: 10 }
  for (const [wanted, run] of [
    ['command:read', (by: typeof actor) => commands.list(by, machineId, { page })],
    ['command:read', (by: typeof actor) => commands.logs(by, execution.id, { limit: 1 })],
    ['command:read', (by: typeof actor) => commands.attach(by, execution.id, { signal: never() })],
    ['command:run', (by: typeof actor) => commands.execute(by, machineId, call)],
    ['command:run', (by: typeof actor) => commands.cancel(by, execution.id)],
    ['command:write', (by: typeof actor) => commands.register(by, machineId, [shell('y', 'true')])],
    ['command:write', (by: typeof actor) => commands.clear(by, machineId)],
  ] as const) {
    expect([wanted, codeOf(await run(as('session:write', 'session:read')))]).toEqual([wanted, 'forbidden'])
    expect([wanted, codeOf(await run(as(wanted)))]).toEqual([wanted, 'ok'])
  }
})

test('ten thousand commands are listed, searched and run from another machine', async () => {
  world = await createCommandMesh()
  const scripts = Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`task-${n}`, `echo ${n}`]))
  writeScripts(world.folder, scripts)
  const [{ commands, actor }, { machineId }] = world.nodes
  const last = value(await commands.list(actor, machineId, { page: { page: 100, perPage: 100 } }))
  expect([last.total, last.items.length, last.isComplete]).toEqual([10_000, 100, true])
  const page = { page: 1, perPage: 50 }
  const found = value(await commands.list(actor, machineId, { search: 'TASK-4711', page }))
  expect(found.items.map(({ line, source }) => [line, source])).toEqual([
    ['npm run task-4711', join(world.folder, 'package.json')],
  ])
})

test('an execution that waits is watched from its beginning', async () => {
  world = await createCommandMesh({ concurrent: 1 })
  const { execution: first } = await sleeper()
  const second = await run('echo out; echo more >&2; exit 3')
  const [{ commands, actor }] = world.nodes
  const viewer = value(await commands.attach(actor, second.id, { signal: never() }))
  value(await commands.cancel(actor, first.id))
  const { text, last } = await consume(viewer)
  expect(last).toEqual({ type: 'exit', exitCode: 3, signal: null })
  expect(text.toString().split('\n').toSorted()).toEqual(['', 'more', 'out'])
})

test('a machine that is out of reach is told at once, and what it ran stays known', async () => {
  world = await createCommandMesh()
  const [{ commands, actor, node }, second] = world.nodes
  const execution = await over(await run('echo x'))
  world.network.disconnect(node.peer, second.node.peer)
  const page = { page: 1, perPage: 10 }
  expect(codeOf(await commands.list(actor, second.machineId, { page }))).toBe('machine_offline')
  expect(codeOf(await commands.logs(actor, execution.id, { limit: 1 }))).toBe('machine_offline')
  expect(value(await commands.executions(second.machineId, page)).items).toEqual([execution])
})

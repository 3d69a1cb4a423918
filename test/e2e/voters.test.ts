import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  createScratch,
  eventually,
  joinMesh,
  rookery,
  seesOnline,
  type Json,
  type RunningNode,
} from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'
import { rookeryInTerminal } from '../support/terminal.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

type Mesh = { readonly nodes: readonly RunningNode[]; readonly project: string }

/** Three machines that see each other, and a project of the first. */
async function three(config: object = {}): Promise<Mesh> {
  const a = await scratch.start('alpha', { config })
  const nodes = [a, await joinMesh(scratch, a, 'beta', { config }), await joinMesh(scratch, a, 'gamma', { config })]
  const peers = nodes.map(({ peerId }) => peerId)
  await Promise.all(nodes.map((node) => seesOnline(node, peers)))
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  return { nodes, project: (await a.cli('project', 'add', folder)).json.id }
}

const votersOf = (view: Json): string[] =>
  view.machines.filter(({ voter }: { voter: boolean }) => voter).map(({ name }: { name: string }) => name)

/** Resolves when this node says that exactly these vote. */
const knowsVoters = (node: RunningNode, names: readonly string[]): Promise<Json> =>
  eventually(async () => {
    const { json } = await node.cli('voters')
    return votersOf(json).join() === names.join() ? json : undefined
  })

const claimed = async (node: RunningNode, { project }: Mesh, title: string): Promise<number> => {
  await eventually(async () => {
    const { json } = await node.cli('project', 'list')
    return json.some(({ id }: { id: string }) => id === project) ? true : undefined
  })
  const { json } = await node.cli('task', 'add', title, '--project', project)
  return (await node.cli('task', 'claim', json.id, '--instance', `agent-${title}`)).code
}

it('[L2.7] lets three vote, claims on while one of them is down, and gives back to one', async () => {
  const mesh = await three()
  const [a, b, c] = mesh.nodes as [RunningNode, RunningNode, RunningNode]
  expect((await a.cli('voters')).json).toMatchObject({ epoch: 1, quorum: 1, is_forced: false, suggestion: null })
  const set = await a.cli('voters', 'set', 'alpha', 'beta', c.peerId)
  expect([set.code, votersOf(set.json), set.json.epoch, set.json.quorum]).toEqual([0, ['alpha', 'beta', 'gamma'], 2, 2])
  expect(set.stderr).toContain('1 of 1 must agree')
  await Promise.all([b, c].map((node) => knowsVoters(node, ['alpha', 'beta', 'gamma'])))
  const status = (await b.cli('status')).json
  expect(status).toMatchObject({ epoch: 2, quorum: 2 })
  expect(status.members.map((m: Json) => [m.voter, m.capabilities.includes('vote')])).toEqual([
    [true, true],
    [true, true],
    [true, true],
  ])
  // The founder, who was the only voter.
  await a.stop('SIGKILL')
  expect(await claimed(b, mesh, 'without-alpha')).toBe(0)
  await c.stop('SIGKILL')
  expect(await claimed(b, mesh, 'without-a-quorum')).toBe(4)
  const [again] = await Promise.all([a, c].map(({ name, dataDir }) => scratch.start(name, { dataDir })))
  await seesOnline(again!, [a.peerId, b.peerId, c.peerId])
  const back = await again!.cli('voters', 'set', 'alpha')
  expect([back.code, votersOf(back.json), back.json.quorum]).toEqual([0, ['alpha'], 1])
  await knowsVoters(b, ['alpha'])
  expect(await claimed(b, mesh, 'with-alpha-alone')).toBe(0)
})

it.runIf(IS_LONG)(
  '[M21] forces a voter set after the founder is lost, with the words of the recovery key',
  async () => {
    const mesh = await three()
    const [a, b, c] = mesh.nodes as [RunningNode, RunningNode, RunningNode]
    const { words } = (await a.cli('recovery', 'create')).json
    await eventually(async () => ((await b.cli('recovery', 'status')).json.keys.length === 1 ? true : undefined))
    await a.stop('SIGKILL')
    const force = ['voters', 'set', 'beta', 'gamma', '--force', '--reason', 'alpha fell into the sea']
    expect((await b.cli('voters', 'set', 'beta', 'gamma')).json.error.code).toBe('forbidden')
    const recovered = await rookery(['recovery', 'use', '--json', '--data-dir', b.dataDir], { input: words })
    expect(recovered.code).toBe(0)
    const asked = await b.cli('voters', 'set', 'beta', 'gamma')
    expect([asked.code, asked.json.error.code, asked.json.error.details.missing_voters]).toEqual([
      4,
      'quorum_unreachable',
      ['alpha'],
    ])
    const unsure = await b.cli(...force)
    expect([unsure.code, unsure.stderr]).toEqual([2, expect.stringContaining('--yes')])
    const forced = await b.cli(...force, '--yes')
    expect([forced.code, votersOf(forced.json), forced.json.is_forced]).toEqual([0, ['beta', 'gamma'], true])
    expect(forced.stderr).toContain('Two voters')
    const onC = await knowsVoters(c, ['beta', 'gamma'])
    expect([onC.is_forced, onC.epoch]).toEqual([true, forced.json.epoch])
    // What the founder had promised must have run out before anybody else gets a claim.
    const waits = await eventually(async () => (await b.cli('voters')).json.grants_again_in_ms ?? undefined)
    expect(waits).toBeGreaterThan(60_000)
    expect((await b.cli('remove', 'alpha')).code).toBe(0)
  },
)

it.runIf(IS_LONG)('[L2.7] says what is wrong with a choice of voters, and changes nothing', async () => {
  const { nodes } = await three()
  const [a, b, c] = nodes as [RunningNode, RunningNode, RunningNode]
  const set = async (node: RunningNode, ...args: string[]): Promise<unknown> => {
    const { code, json } = await node.cli('voters', 'set', ...args)
    return [code, json?.error?.code]
  }
  expect(await set(a, 'nobody')).toEqual([2, 'invalid_input'])
  expect(await set(a, 'alpha', a.peerId)).toEqual([2, 'invalid_input'])
  expect(await set(a, 'alpha', '--force')).toEqual([2, 'refused'])
  expect(await set(a, 'alpha', '--reason', 'because')).toEqual([2, 'refused'])
  expect(await set(b, 'beta')).toEqual([1, 'forbidden'])
  expect((await a.cli('voters', 'set')).code).toBe(2)
  await c.stop('SIGKILL')
  expect(await set(a, 'alpha', 'beta', 'gamma')).toEqual([1, 'machine_offline'])
  expect((await a.cli('voters')).json).toMatchObject({ epoch: 1, quorum: 1 })
  const nowhere = await rookery(['voters', '--json', '--data-dir', join(scratch.path, 'nothing')])
  expect([nowhere.code, nowhere.json.error.code]).toEqual([3, 'node_not_running'])
})

it('[L2.7] asks a person before it forces anything, and takes only yes for yes', async () => {
  const a = await scratch.start('alpha')
  const args = ['voters', 'set', 'alpha', '--force', '--reason', 'to see', '--data-dir', a.dataDir]
  const answer = async (text: string): Promise<{ code: number; shown: string }> => {
    const terminal = rookeryInTerminal(args)
    await terminal.until('Type yes or no: ')
    terminal.type(text)
    return await terminal.ended
  }
  const refused = await answer('y\rno\r')
  expect([refused.code, refused.shown]).toEqual([1, expect.stringContaining('Nothing was changed.')])
  expect((await a.cli('voters')).json).toMatchObject({ epoch: 1, is_forced: false })
  const agreed = await answer('yes\r')
  expect([agreed.code, agreed.shown]).toEqual([0, expect.stringContaining('by force')])
  expect((await a.cli('voters')).json).toMatchObject({ is_forced: true })
})

it.runIf(IS_LONG)('[L2.7] shows which machines say that they are always on, and suggests them', async () => {
  const { nodes } = await three({ alwaysOn: true })
  const [, b] = nodes as [RunningNode, RunningNode, RunningNode]
  const view = await eventually(async () => {
    const { json } = await b.cli('voters', 'list')
    return json.suggestion === null ? undefined : json
  })
  expect(view.suggestion.toSorted()).toEqual(nodes.map(({ peerId }) => peerId).toSorted())
  const shown = await rookery(['voters', '--data-dir', b.dataDir])
  expect(shown.stdout).toContain('rookery voters set alpha')
  expect(shown.stdout).toContain('epoch 1 · 1 of 1: claims succeed only while alpha can be reached')
  const doctor = (await b.cli('doctor')).json.findings.filter(({ check }: Json) =>
    ['voters', 'recovery key'].includes(check),
  )
  expect(doctor.map(({ state }: Json) => state)).toEqual(['warning', 'warning'])
})

it.runIf(IS_LONG)('[L2.11] takes a voter that was reset for another one, until it is named again', async () => {
  const mesh = await three()
  const [a, b, c] = mesh.nodes as [RunningNode, RunningNode, RunningNode]
  expect((await a.cli('voters', 'set', 'alpha', 'beta', 'gamma')).code).toBe(0)
  const reset = (...args: string[]) => rookery(['voters', 'reset', '--json', '--data-dir', c.dataDir, ...args])
  const running = await reset('--yes')
  expect([running.code, running.json.error.code]).toEqual([1, 'node_running'])
  await c.stop()
  expect((await reset()).code).toBe(2)
  const done = await reset('--yes')
  expect([done.code, done.json]).toEqual([0, { mesh_id: expect.any(String), incarnation: expect.any(String) }])
  const again = await scratch.start('gamma', { dataDir: c.dataDir })
  await seesOnline(again, [a.peerId, b.peerId, c.peerId])
  const problems = (view: Json): boolean[] => view.machines.map(({ problem }: Json) => problem !== null)
  expect(problems((await again.cli('voters')).json)).toEqual([false, false, true])
  expect((await a.cli('voters', 'set', 'alpha', 'beta', 'gamma')).code).toBe(0)
  await eventually(async () => (problems((await again.cli('voters')).json).includes(true) ? undefined : true))
  await a.stop('SIGKILL')
  expect(await claimed(b, mesh, 'with-the-new-voter')).toBe(0)
})

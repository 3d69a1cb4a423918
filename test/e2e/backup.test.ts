import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  createScratch,
  eventually,
  joinMesh,
  rookery,
  seesOnline,
  type Cli,
  type Json,
  type RunningNode,
} from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'

/** Three nodes are started, killed and started again, with some fifty commands: slow while the machine is busy. */
const LONG_MS = 300_000

const PASSPHRASE = 'correct horse battery staple'

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

const backUp = (dataDir: string, file: string, input = PASSPHRASE): Promise<Cli> =>
  rookery(['backup', file, '--json', '--data-dir', dataDir], { input })
const restore = (dataDir: string, file: string, { input = PASSPHRASE, flags = [] as string[] } = {}): Promise<Cli> =>
  rookery(['restore', file, ...flags, '--json', '--data-dir', dataDir], { input })

/** Machines that see each other, and a project of the first. */
async function mesh(...names: string[]): Promise<{ nodes: RunningNode[]; project: string }> {
  const [first = 'alpha', ...others] = names
  const a = await scratch.start(first)
  const nodes = [a]
  for (const name of others) nodes.push(await joinMesh(scratch, a, name))
  await Promise.all(
    nodes.map((node) =>
      seesOnline(
        node,
        nodes.map(({ peerId }) => peerId),
      ),
    ),
  )
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  return { nodes, project: (await a.cli('project', 'add', folder)).json.id }
}

const add = async (node: RunningNode, project: string, title: string): Promise<string> => {
  const { code, json, stderr } = await node.cli('task', 'add', title, '--project', project)
  if (code !== 0) throw new Error(stderr)
  return json.id
}

const titles = async (node: RunningNode, project: string): Promise<Set<string>> => {
  const { json } = await node.cli('task', 'list', '--project', project)
  return new Set(Array.isArray(json) ? json.map(({ title }: Json) => title) : [])
}

const hasTitles = (node: RunningNode, project: string, wanted: readonly string[]): Promise<true> =>
  eventually(async () => {
    const found = await titles(node, project)
    return found.size === wanted.length && wanted.every((title) => found.has(title)) ? true : undefined
  })

const goesOn = (node: RunningNode): Promise<true> =>
  eventually(async () => ((await node.cli('restored')).json?.is_restoring === false ? true : undefined))

const problemsOf = async (node: RunningNode): Promise<string[]> => {
  const { json } = await node.cli('status')
  return [...json.problems, ...json.members.flatMap(({ problem }: Json) => problem ?? [])]
}

it.runIf(IS_LONG)(
  '[M14] [L2.11] a node that is restored from an old backup takes what it wrote since from the others, goes on without using a place twice, and votes for nobody until it is named again',
  async () => {
    const { nodes, project } = await mesh('alpha', 'beta', 'gamma')
    const [a, b, c] = nodes as [RunningNode, RunningNode, RunningNode]
    expect((await a.cli('voters', 'set', 'alpha', 'beta', 'gamma')).code).toBe(0)
    await add(a, project, 'before')
    const secret = ['secret', 'set', 'smtp', '--data-dir', a.dataDir]
    expect((await rookery(secret, { input: 'post-office-box' })).code).toBe(0)
    const file = join(scratch.path, 'alpha.backup')
    const during = Promise.all(Array.from({ length: 2 }, (_, i) => add(a, project, `during ${i}`)))
    const backup = await backUp(a.dataDir, file)
    expect([backup.code, backup.stderr]).toEqual([0, ''])
    await during
    const after = await add(a, project, 'after')
    expect((await a.cli('task', 'claim', after, '--instance', 'agent of alpha')).code).toBe(0)
    const all = ['before', 'after', ...Array.from({ length: 2 }, (_, i) => `during ${i}`)]
    for (const node of [b, c]) await hasTitles(node, project, all)

    await a.stop('SIGKILL')
    await rm(a.dataDir, { recursive: true })
    // Only gamma is there at first: what alpha wrote may be known to beta alone.
    await b.stop()
    const restored = await restore(a.dataDir, file)
    expect([restored.code, restored.json.peer_id]).toEqual([0, a.peerId])
    expect(await readFile(join(a.dataDir, 'secrets', 'smtp'), 'utf8')).toBe('post-office-box')
    const again = await scratch.start('alpha', { dataDir: a.dataDir })
    const waiting = await eventually(async () => {
      const { json } = await again.cli('restored')
      return json.awaited.length === 1 ? json : undefined
    })
    expect(waiting).toMatchObject({ is_restoring: true, cause: 'backup', awaited: [{ peer_id: b.peerId }] })
    const refused = await again.cli('task', 'add', 'too early', '--project', project)
    expect([refused.code, refused.json.error.code]).toEqual([1, 'forbidden'])
    expect(await problemsOf(again)).toContainEqual(expect.stringContaining('restored from a backup'))
    const found = expect.stringContaining('restored from a backup')
    expect((await again.cli('doctor')).json.findings).toContainEqual(expect.objectContaining({ found }))

    const beta = await scratch.start('beta', { dataDir: b.dataDir })
    await goesOn(again)
    await hasTitles(again, project, all)
    await eventually(async () =>
      (await again.cli('task', 'add', 'again', '--project', project)).code === 0 ? true : undefined,
    )
    for (const node of [again, beta, c]) {
      await hasTitles(node, project, [...all, 'again'])
      expect((await problemsOf(node)).filter((text) => /equivocation|frozen|forked|refuses/.test(text))).toEqual([])
    }
    const { json: voters } = await again.cli('voters')
    expect(voters.problems.join()).toContain('voter')
    // The lease of its former process is still promised by the two that did not forget.
    expect((await beta.cli('task', 'claim', after, '--instance', 'agent of beta')).code).toBe(4)
    expect((await again.cli('voters', 'set', 'alpha', 'beta', 'gamma')).code).toBe(0)
    const fresh = await add(again, project, 'fresh')
    expect((await again.cli('task', 'claim', fresh, '--instance', 'agent of alpha')).code).toBe(0)
  },
  LONG_MS,
)

/** Each holds up the suite for a minute. */

it.runIf(IS_LONG)(
  '[M14] a backup that is started while the node it is of still runs is refused to write, and says why, until the other has ended',
  async () => {
    const { nodes, project } = await mesh('alpha', 'beta')
    const [a, b] = nodes as [RunningNode, RunningNode]
    const file = join(scratch.path, 'beta.backup')
    expect((await backUp(b.dataDir, file)).code).toBe(0)
    const copyDir = join(scratch.path, 'copy')
    expect((await restore(copyDir, file)).code).toBe(0)
    const copy = await scratch.start('copy', { dataDir: copyDir })
    await eventually(async () => {
      const problems = await problemsOf(copy)
      return problems.some((text) => text.includes('another copy of it is running')) ? true : undefined
    })
    expect((await copy.cli('task', 'add', 'x', '--project', project)).code).toBe(1)
    await hasTitles(b, project, [])
    await add(b, project, 'by the original')
    await hasTitles(a, project, ['by the original'])
    await b.stop()
    await goesOn(copy)
    await hasTitles(copy, project, ['by the original'])
    await eventually(async () =>
      (await copy.cli('task', 'add', 'x', '--project', project)).code === 0 ? true : undefined,
    )
    await hasTitles(a, project, ['by the original', 'x'])
    expect((await problemsOf(a)).filter((text) => /equivocation|forked/.test(text))).toEqual([])
  },
)

it('[backup] of a node that does not run; into an empty directory only, with its passphrase only', async () => {
  const { nodes, project } = await mesh('alpha')
  const [a] = nodes as [RunningNode]
  await add(a, project, 'one')
  await a.stop()
  const file = join(scratch.path, 'alpha.backup')
  expect((await backUp(a.dataDir, file, 'short')).code).toBe(2)
  expect((await backUp(a.dataDir, file)).code).toBe(0)
  expect((await backUp(a.dataDir, file)).json.error.code).toBe('file_exists')
  expect((await backUp(join(scratch.path, 'nowhere'), `${file}2`)).json.error.code).toBe('no_node')
  expect((await readFile(file)).includes('one')).toBe(false)

  const target = join(scratch.path, 'target')
  expect((await restore(a.dataDir, file)).json.error.code).toBe('not_empty')
  const wrong = await restore(target, file, { input: 'wrong horse battery staple' })
  expect([wrong.code, wrong.json.error.code, wrong.json.error.message]).toEqual([
    1,
    'backup_unusable',
    'The passphrase is wrong, or the file is damaged or cut off. Nothing was restored.',
  ])
  const bytes = await readFile(file)
  await writeFile(`${file}.cut`, bytes.subarray(0, bytes.byteLength - 1))
  expect((await restore(target, `${file}.cut`)).json.error.code).toBe('backup_unusable')
  expect((await restore(target, file)).json.error.code).toBe('nobody_to_ask')
  expect((await readdir(scratch.path)).filter((name) => name.includes('target') || name.includes('partial'))).toEqual(
    [],
  )
  expect((await restore(target, file, { flags: ['--alone'] })).code).toBe(0)
  // Nobody else can have anything of it: it goes on at once, but its promises are lost.
  const again = await scratch.start('again', { dataDir: target })
  expect((await again.cli('restored')).json.is_restoring).toBe(false)
  const id = await add(again, project, 'two')
  const { json: storage } = await again.cli('storage')
  const document = storage.documents.find((found: Json) => found.id === `project/${project}`)
  expect(document.authors).toMatchObject([{ peer_id: a.peerId, name: 'alpha', envelopes: document.envelopes }])
  expect(Math.abs(document.bytes_per_day - document.bytes)).toBeLessThanOrEqual(1)
  expect(storage.membership.count).toBeGreaterThan(0)
  expect(storage.total_bytes).toBeGreaterThan(storage.store_bytes_on_disk)
  await hasTitles(again, project, ['one', 'two'])
  expect((await again.cli('task', 'claim', id, '--instance', 'agent')).code).toBe(4)
})

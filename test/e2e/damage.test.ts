import { mkdir, open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  allTasks,
  api,
  createScratch,
  eventually,
  joinMesh,
  login,
  registerOwner,
  seesOnline,
  type Answer,
  type RunningNode,
} from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
beforeEach(async () => {
  scratch = await createScratch()
})
afterEach(() => scratch.dispose())

async function pair(): Promise<{ a: RunningNode; b: RunningNode; project: string; tokenA: string; tokenB: string }> {
  const a = await scratch.start('alpha')
  const b = await joinMesh(scratch, a, 'beta')
  await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
  const tokenA = await registerOwner(a)
  const tokenB = await eventually(() => login(b).catch(() => undefined))
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const project = (await a.cli('project', 'add', folder)).json.id
  await eventually(async () =>
    (await api(b, tokenB).get(`/api/projects/${project}`)).status === 200 ? true : undefined,
  )
  return { a, b, project, tokenA, tokenB }
}

/** The largest file with the feeds of a node that is down. */
async function largestStoreFile(node: RunningNode): Promise<string> {
  const mesh = join(node.dataDir, 'meshes', (await readdir(join(node.dataDir, 'meshes')))[0]!, 'store')
  const names = (await readdir(mesh)).filter((name) => /\.(log|ldb)$/.test(name))
  const sizes = await Promise.all(names.map(async (name) => [(await stat(join(mesh, name))).size, name] as const))
  return join(mesh, sizes.toSorted(([a], [b]) => b - a)[0]![1])
}

async function flipBytes(path: string, at: number, count: number): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const bytes = Buffer.alloc(count)
    await file.read(bytes, 0, count, at)
    await file.write(
      bytes.map((byte) => byte ^ 0x5a),
      0,
      count,
      at,
    )
  } finally {
    await file.close()
  }
}

it.each(IS_LONG ? ['log', 'table'] : ['log'])(
  'never starts without a task it has acknowledged when its %s is damaged',
  async (place) => {
    const { a, b, project, tokenB } = await pair()
    const onB = api(b, tokenB)
    const acknowledged = new Set<string>()
    const description = 'x'.repeat(60)
    for (let i = 0; i < 600; i += 50) {
      const batch = Array.from({ length: 50 }, (_, j) => ({ title: `Task ${i + j}`, description }))
      for (const { status, body } of await Promise.all(
        batch.map((t) => onB.post(`/api/projects/${project}/tasks`, t)),
      )) {
        expect(status).toBe(201)
        acknowledged.add(body.data.id)
      }
    }
    expect((await b.cli('down')).code).toBe(0)
    await a.stop()
    // At its next start LevelDB moves what is in the log into a table.
    if (place === 'table') await (await scratch.start('beta', { dataDir: b.dataDir })).cli('down')
    const path = await largestStoreFile(b)
    process.stderr.write(`damaging ${path} of ${(await stat(path)).size} bytes\n`)
    await flipBytes(path, Math.floor((await stat(path)).size / 2), 16)
    // Alone: nobody brings back what it has lost.
    const again = await scratch.start('beta', { dataDir: b.dataDir, args: ['--http', '127.0.0.1:0'] }).catch(String)
    if (typeof again === 'string') {
      expect(again).toMatch(/store .* is damaged. Restore a backup into/)
      expect(again).not.toContain('    at ')
      return
    }
    const answer = await api(again, tokenB).get(`/api/projects/${project}/tasks?per_page=1`)
    if (answer.status !== 200) {
      expect([answer.status, again.stderr]).toEqual([500, expect.stringContaining('damaged')])
      return
    }
    const here = await allTasks(api(again, tokenB), project)
    expect([...acknowledged].filter((id) => !here.has(id))).toEqual([])
  },
)

it.runIf(IS_LONG)(
  '[L1] loses no claim and doubles none when the only voter is killed in the middle of 200 claims',
  async () => {
    const { a, b, project, tokenA, tokenB } = await pair()
    const onB = api(b, tokenB)
    const create = (title: string): Promise<Answer> => onB.post(`/api/projects/${project}/tasks`, { title })
    const tasks: string[] = []
    for (let i = 0; i < 4; i++)
      for (const { body } of await Promise.all(Array.from({ length: 50 }, (_, j) => create(`Task ${i * 50 + j}`))))
        tasks.push(body.data.id)
    let dying: Promise<unknown> | undefined
    const granted: [task: string, instance: string][] = []
    const claim = async (task: string, instance: string): Promise<void> => {
      const answer = await onB.post(`/api/tasks/${task}/claim`, { instance_id: instance })
      if (answer.status === 200) {
        if (granted.push([task, instance]) === 1) dying = a.stop('SIGKILL')
      } else expect([409, 503]).toContain(answer.status)
    }
    const claims = Promise.all(tasks.flatMap((task) => [claim(task, 'beta-1'), claim(task, 'beta-2')]))
    await eventually(() => dying)
    const grantedAtDeath = granted.length
    const { port } = new URL(a.http)
    const again = await scratch.start('alpha', { dataDir: a.dataDir, args: ['--http', `127.0.0.1:${port}`] })
    const restartedAtMs = performance.now()
    const next = (await create('After the restart')).body.data.id
    await eventually(async () => {
      const { status } = await onB.post(`/api/tasks/${next}/claim`, { instance_id: 'beta-1' })
      return status === 200 ? true : undefined
    }, 15_000)
    const backAfterMs = Math.round(performance.now() - restartedAtMs)
    await claims
    process.stderr.write(
      `${grantedAtDeath} claims granted at the kill, ${granted.length} in all; claims again after ${backAfterMs} ms\n`,
    )
    expect(grantedAtDeath).toBeLessThan(200)
    const holders = new Map(granted)
    expect(holders.size).toBe(granted.length)
    const onA = api(again, tokenA)
    for (const on of [onB, onA])
      await eventually(async () => {
        const found = await Promise.all(granted.map(async ([task]) => (await on.get(`/api/tasks/${task}`)).body.data))
        const wrong = found.filter((task) => task?.assigned_to !== holders.get(task?.id))
        return wrong.length === 0 ? true : undefined
      }, 15_000)
    for (const [task] of granted)
      expect((await onA.post(`/api/tasks/${task}/claim`, { instance_id: 'alpha-1' })).status).toBe(409)
  },
)

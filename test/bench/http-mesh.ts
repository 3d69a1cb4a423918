import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
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
import type { Context } from './benchmark.ts'
import { endLeftovers } from './leftovers.ts'
import { sampleTask } from './sample-task.ts'
import { ratePerSecond } from './statistics.ts'

export type HttpMesh = {
  readonly path: string
  readonly a: RunningNode
  readonly b: RunningNode
  readonly onA: Api
  readonly onB: Api
  readonly token: string
  /** Adds tasks through A and resolves when B has them too. */
  addTasks(count: number): Promise<string[]>
}

/** Two real nodes with gateways, started as a person starts them; A is the voter. */
export async function startHttpMesh(context: Context): Promise<HttpMesh> {
  const scratch = await startScratch(context)
  const a = await scratch.start('alpha')
  const b = await joinMesh(scratch, a, 'beta')
  await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
  const token = await registerOwner(a)
  const onA = api(a, token)
  const onB = api(b, await eventually(() => login(b).catch(() => undefined)))
  const folder = join(scratch.path, 'work')
  await mkdir(folder)
  const project: string = (await a.cli('project', 'add', folder)).json.id
  return {
    path: scratch.path,
    a,
    b,
    onA,
    onB,
    token,
    async addTasks(count) {
      const ids: string[] = []
      await ratePerSecond(count, 16, async (index) => {
        const { status, body } = await onA.post(`/api/projects/${project}/tasks`, sampleTask(index))
        if (status !== 201) throw new Error(`a task was answered with ${status}: ${JSON.stringify(body)}`)
        ids.push(body.data.id)
      })
      for (const id of ids)
        await eventually(async () => ((await onB.get(`/api/tasks/${id}`)).status === 200 ? true : undefined))
      return ids
    },
  }
}

/** As of the tests, but nothing outlives it even when nodes were interrupted before they could end their sessions. */
export async function startScratch(context: Context): Promise<Awaited<ReturnType<typeof createScratch>>> {
  const scratch = await createScratch()
  context.defer(async () => {
    await scratch.dispose()
    await endLeftovers(scratch.path)
    await rm(scratch.path, { recursive: true, force: true })
  })
  return scratch
}

import { expect, it } from 'vitest'
import { domainError } from '../../../../crdt/errors.ts'
import type { Broadcast } from '../../../../crdt/activity.ts'
import { ChunkId, ProjectId } from '../../../../crdt/ids.ts'
import type { Project } from '../../../../crdt/project.ts'
import { err, ok } from '../../../../crdt/result.ts'
import { createBroadcastService } from '../../../../node/services/activity/broadcast-service.ts'
import { localActor, SimMesh, type SimNode } from '../../../support/services-mesh.ts'

const projectId = ProjectId.parse('00000000-0000-4000-8000-000000000001')
const message = { type: 'announcement', content: 'Restarting', target: 'all' }

const chunk = { id: ChunkId.parse('00000000-0000-4000-8000-0000000000c1') }
const kept: Broadcast[] = []
async function keep(broadcast: Broadcast) {
  kept.push(broadcast)
  return broadcast.content === 'unkept' ? err(domainError('storage_failed')) : ok(chunk)
}

function serviceOf(node: SimNode, { knowsProject = true } = {}) {
  const { mesh, peer: self, presence, rpc, events, random, log } = node
  return createBroadcastService({
    projects: {
      get: async () => (knowsProject ? ok({ id: projectId } as Project) : err(domainError('project_not_found'))),
    },
    members: () => mesh.nodes.map(({ peer }) => peer),
    nameOf: (peer) => mesh.nodes.find((one) => one.peer === peer)?.member.name ?? peer,
    clock: mesh.clock,
    self,
    presence,
    rpc,
    events,
    random,
    keep,
    log,
  })
}

function meshOf(count: number): readonly SimNode[] {
  const mesh = new SimMesh()
  const nodes = Array.from({ length: count }, (_, i) => mesh.add(i + 1))
  for (const node of nodes) for (const other of nodes) if (other !== node) node.sees(other.peer, 'online')
  return nodes
}

it('tells every node, and names those it could not tell', async () => {
  const [one, two, three, four] = meshOf(4) as [SimNode, SimNode, SimNode, SimNode]
  const [service] = [serviceOf(one), serviceOf(two), serviceOf(three, { knowsProject: false }), serviceOf(four)]
  one.sees(four.peer, 'gone')
  const sent = await service.send(localActor(one), projectId, message)
  expect(sent).toMatchObject({
    ok: true,
    value: { reached: ['node-1', 'node-2'], missed: ['node-3', 'node-4'], chunkId: chunk.id },
  })
  expect(kept).toEqual([expect.objectContaining({ ...message, projectId })])
  const told = expect.objectContaining({ type: 'project.broadcast', broadcast: expect.objectContaining(message) })
  expect([one.told, two.told, three.told, four.told]).toEqual([[told], [told], [], []])
})

it('takes one a second from a member, and none from who may not change the project', async () => {
  const [one] = meshOf(1) as [SimNode]
  const service = serviceOf(one)
  const send = async (abilities: readonly string[]) => {
    const sent = await service.send(localActor(one, abilities), projectId, message)
    return sent.ok ? 'ok' : sent.error.code
  }
  expect(await send(['project:read'])).toBe('forbidden')
  const codes: string[] = []
  for (let n = 0; n < 61; n++) codes.push(await send(['project:write']))
  expect([new Set(codes.slice(0, 60)), codes[60]]).toEqual([new Set(['ok']), 'rate_limited'])
})

it('is told although it cannot be kept, and not kept when it is refused', async () => {
  const [one] = meshOf(1) as [SimNode]
  const sent = await serviceOf(one).send(localActor(one), projectId, { ...message, content: 'unkept' })
  expect(sent).toMatchObject({ ok: true, value: { reached: ['node-1'], chunkId: null } })
  kept.length = 0
  await serviceOf(one, { knowsProject: false }).send(localActor(one), projectId, message)
  expect(kept).toEqual([])
})

import type { PeerId } from '../../crdt/ids.ts'
import { quantile } from '../bench/statistics.ts'
import {
  allTasks,
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
import { heldMb, INSPECTED } from '../support/inspector.ts'
import type { Attack } from './attacks.ts'
import { joinAsHostile, type HostileMember } from './member.ts'

/** Two honest nodes, and members that are not. */
export type Siege = {
  readonly alpha: RunningNode
  readonly beta: RunningNode
  readonly hostile: readonly HostileMember[]
  /** A third one, on which nobody works: what an attack on it does to the others is what it costs this machine. */
  readonly decoy: RunningNode
  /** Strikes again and again until `stop`; tells how often. */
  attack(by: HostileMember, attack: Attack, victims: readonly RunningNode[]): { stop(): Promise<number> }
  /** People at work on both nodes for so long: latencies in ms, and what was written. */
  work(ms: number): Promise<{ latencies: number[]; titles: string[] }>
  /** What every honest node says of its tasks, once they agree; rejects when they do not in half a minute. */
  content(): Promise<string>
  /** What alpha says is wrong with a member. */
  problemOf(peer: PeerId): Promise<string | null>
  /** What the node that holds more holds after a garbage collection: objects and buffers. */
  heldMb(): Promise<number>
  dispose(): Promise<void>
}

/** A person does not do more; a machine that does is measured by the benchmarks. */
const PAUSE_MS = 20

export async function createSiege(hostileCount: number): Promise<Siege> {
  const scratch = await createScratch()
  const alpha = await scratch.start('alpha', { env: INSPECTED })
  const beta = await joinMesh(scratch, alpha, 'beta', { env: INSPECTED })
  await Promise.all([seesOnline(alpha, [alpha.peerId, beta.peerId]), seesOnline(beta, [alpha.peerId, beta.peerId])])
  const decoy = await joinMesh(scratch, alpha, 'gamma')
  const onAlpha = api(alpha, await registerOwner(alpha))
  const onBeta = api(beta, await eventually(() => login(beta).catch(() => undefined)))
  const { json: project } = await alpha.cli('project', 'add', scratch.path, '--name', 'Besieged')
  await eventually(async () => ((await onBeta.get(`/api/projects/${project.id}`)).status === 200 ? true : undefined))
  const hostile: HostileMember[] = []
  for (let i = 0; i < hostileCount; i++)
    hostile.push(await joinAsHostile(77 + i, (await alpha.cli('invite')).json.ticket))
  return {
    alpha,
    beta,
    decoy,
    hostile,
    attack: (by, attack, victims) =>
      keepStriking(
        by,
        attack,
        victims.map(({ peerId }) => peerId as PeerId),
      ),
    work: (ms) => work([onAlpha, onBeta], project.id, ms),
    content: () => eventually(() => agreed([onAlpha, onBeta], project.id)),
    async problemOf(peer) {
      const { json } = await alpha.cli('status')
      return json.members.find((member: { peer_id: string }) => member.peer_id === peer)?.problem ?? null
    },
    heldMb: async () => Math.max(...(await Promise.all([heldMb(alpha), heldMb(beta)]))),
    async dispose() {
      for (const member of hostile) await member.stop()
      await scratch.dispose()
    },
  }
}

function keepStriking(by: HostileMember, { strike }: Attack, victims: readonly PeerId[]): { stop(): Promise<number> } {
  let isOver = false
  let strikes = 0
  const strikeOn = async (victim: PeerId): Promise<void> => {
    while (!isOver) {
      await strike(by, victim).catch(() => undefined) // hung up on, which is the point
      strikes++
      // The victims run on this machine too: what a peer could send alone is not what is measured.
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const striking = Promise.all(victims.map(strikeOn))
  return {
    async stop() {
      isOver = true
      await striking
      return strikes
    },
  }
}

async function work(
  nodes: readonly Api[],
  project: string,
  ms: number,
): Promise<{ latencies: number[]; titles: string[] }> {
  const latencies: number[] = []
  const titles: string[] = []
  const timed = async <T>(call: () => Promise<T>): Promise<T> => {
    const startMs = performance.now()
    const answer = await call()
    latencies.push(performance.now() - startMs)
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    return answer
  }
  for (const end = performance.now() + ms; performance.now() < end;)
    for (const on of nodes) {
      const title = `task ${titles.length} at ${performance.now()}`
      const created = await timed(() => on.post(`/api/projects/${project}/tasks`, { title }))
      if (created.status !== 201) throw new Error(`a task was refused: ${JSON.stringify(created.body)}`)
      titles.push(title)
      await timed(() => on.get(`/api/tasks/${created.body.data.id}`))
    }
  return { latencies, titles }
}

async function agreed(nodes: readonly Api[], project: string): Promise<string | undefined> {
  const [first, ...others] = await Promise.all(
    nodes.map(async (on) => {
      const ids = [...(await allTasks(on, project))].toSorted()
      const { body } = await on.get(`/api/projects/${project}/tasks?per_page=100&page=1`)
      return JSON.stringify([
        ids,
        body.data.map(({ id, title }: { id: string; title: string }) => [id, title]).toSorted(),
      ])
    }),
  )
  return others.every((other) => other === first) ? first : undefined
}

export const p99 = (latencies: readonly number[]): number => quantile(latencies, 0.99)

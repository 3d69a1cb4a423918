import { createHash } from 'node:crypto'
import { request } from '../chaos/gateway-client.ts'
import { eventually, seesOnline, type Json } from '../support/nodes.ts'
import type { Ledger } from './churn.ts'
import type { SoakMember, SoakMesh } from './mesh.ts'
import { handlesOf } from './samples.ts'
import { endSessions } from './sessions.ts'

/** Guards against a hang: members redial with pauses of up to five minutes, claims last a minute. */
const WITHIN_MS = 420_000
/** Connections that are kept open for the next request, and a member that is just being dialled. */
const HANDLES_SPARE = 8

export type EndState = {
  /** Of each node's tasks; one means that all replicas say the same. */
  readonly boards: Readonly<Record<string, string>>
  readonly replicasIdentical: boolean
  /** Descriptors that are no files, before the churn and after it, and what is too much. */
  readonly handles: Readonly<Record<string, { readonly before: number; readonly after: number }>>
  readonly leakedHandles: number
}

/** Waits until the mesh has come to rest, then compares. What is wrong is added to the ledger. */
export async function endState(
  { members, project }: SoakMesh,
  handlesBefore: ReadonlyMap<string, number>,
  ledger: Ledger,
): Promise<EndState> {
  const peers = members.map(({ node }) => node.peerId)
  for (const { name, node } of members)
    if (node.process.exitCode !== null) ledger.violations.push(`${name} has ended by itself (${node.process.exitCode})`)
  await within(ledger, 'not all members see each other', () =>
    Promise.all(members.map(({ node }) => seesOnline(node, peers))).then(() => true),
  )
  const latest = { boards: new Map<string, Json[]>() }
  await within(ledger, 'the boards differ', async () => {
    latest.boards = await boardsOf(members, project)
    return new Set([...latest.boards.values()].map(hashOf)).size === 1 ? true : undefined
  })
  const [board = []] = latest.boards.values()
  ledger.violations.push(...lost(board, ledger))
  await within(ledger, 'sessions could not be ended', async () =>
    (await Promise.all(members.map(endSessions))).every((left) => left === 0) ? true : undefined,
  )
  const spare = (name: string): number => (handlesBefore.get(name) ?? 0) + HANDLES_SPARE
  const after = (): [string, number][] => members.map(({ name, node }) => [name, handlesOf(node.process.pid ?? 0)])
  await within(ledger, 'handles were not given back', () =>
    after().every(([name, count]) => count <= spare(name)) ? true : undefined,
  )
  const hashes = Object.fromEntries([...latest.boards].map(([name, tasks]) => [name, hashOf(tasks)]))
  return {
    boards: hashes,
    replicasIdentical: new Set(Object.values(hashes)).size === 1,
    handles: Object.fromEntries(
      after().map(([name, count]) => [name, { before: handlesBefore.get(name) ?? 0, after: count }]),
    ),
    leakedHandles: after().reduce((sum, [name, count]) => sum + Math.max(0, count - spare(name)), 0),
  }
}

async function within(
  { violations }: Ledger,
  problem: string,
  look: () => Promise<true | undefined> | true | undefined,
): Promise<void> {
  await eventually(look, WITHIN_MS).catch((error: unknown) =>
    violations.push(`${problem}: ${error instanceof Error ? error.message : String(error)}`),
  )
}

const hashOf = (tasks: readonly Json[]): string =>
  createHash('sha256').update(JSON.stringify(tasks)).digest('hex').slice(0, 16)

async function boardsOf(members: readonly SoakMember[], project: string): Promise<Map<string, Json[]>> {
  const boards = new Map<string, Json[]>()
  for (const member of members) boards.set(member.name, await tasksOf(member, project))
  return boards
}

async function tasksOf({ endpoint }: SoakMember, project: string): Promise<Json[]> {
  const tasks: Json[] = []
  for (let page = 1; ; page++) {
    const { data } = await request(endpoint, 'GET', `/api/projects/${project}/tasks?per_page=100&page=${page}`)
    tasks.push(...(data ?? []))
    if ((data ?? []).length < 100) return tasks.toSorted((a, b) => a.id.localeCompare(b.id))
  }
}

/** What was acknowledged is there, everywhere: the boards are alike. */
function lost(board: readonly Json[], { created, completed }: Ledger): string[] {
  const tasks = new Map<string, Json>(board.map((task) => [task.id, task]))
  return [
    ...[...created].filter((id) => !tasks.has(id)).map((id) => `task ${id} was created and is not there`),
    ...[...completed]
      .filter((id) => tasks.get(id)?.status !== 'completed')
      .map((id) => `task ${id} was completed and is ${tasks.get(id)?.status}`),
  ]
}

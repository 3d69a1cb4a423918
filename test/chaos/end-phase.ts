import { eventually, seesOnline, type Json } from '../support/nodes.ts'
import type { ChaosMember, Cluster } from './cluster.ts'
import { request } from './gateway-client.ts'
import type { HistoryEntry, Outcome } from './history.ts'
import { DIRECTORIES, FILES } from './hot-set.ts'

/** Only guards against a hang: leases left behind last a minute at most, and members redial with longer and longer pauses. */
const WITHIN_MS = 180_000

/**
 * After the faults: everybody can take everything again, and all boards say the same and have lost nothing.
 * Returns what is wrong.
 */
export async function checkAfterwards(cluster: Cluster, entries: readonly HistoryEntry[], created: readonly string[]) {
  const { members } = cluster
  const peers = members.map((member) => member.node().peerId)
  const problems: string[] = []
  const must = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work()
    } catch (error) {
      problems.push(`${what}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  for (const member of members)
    await must(`${member.name} has ended by itself`, async () => {
      const { exitCode } = member.node().process
      if (exitCode !== null) throw new Error(`exit code ${exitCode}`)
    })
  await must('not all members see each other', async () => {
    await Promise.all(
      members.map((member) => eventually(async () => ((await isMet(member, peers)) ? true : undefined), WITHIN_MS)),
    )
  })
  for (const member of members)
    await must(`${member.name} cannot take everything`, async () => await takeEverything(cluster, member))
  await must('not every claim can be given back', async () => {
    await eventually(async () => ((await giveBackClaims(cluster)) === 0 ? true : undefined), WITHIN_MS)
  })
  const last = { boards: await boardsOf(cluster) }
  await must('the boards of the nodes do not agree', async () => {
    await eventually(async () => {
      last.boards = await boardsOf(cluster)
      return differences(last.boards).length === 0 ? true : undefined
    }, WITHIN_MS)
  })
  const [board = []] = last.boards.values()
  return [...problems, ...differences(last.boards), ...lostOperations(board, entries, created)]
}

const isMet = async (member: ChaosMember, peers: readonly string[]): Promise<boolean> =>
  await seesOnline(member.node(), peers).then(
    () => true,
    () => false,
  )

async function takeEverything({ project }: Cluster, member: ChaosMember): Promise<void> {
  const locks = `/api/projects/${project}/locks`
  const instance_id = `last-${member.name}`
  const until = async (outcomes: readonly Outcome[], path: string, body: object): Promise<Json> =>
    await eventually(async () => {
      const { outcome, data } = await request(member.endpoint(), 'POST', path, body)
      return outcomes.includes(outcome) ? (data ?? {}) : undefined
    }, WITHIN_MS)
  // What is refused when it is asked for again was done the first time, when no answer came.
  const ended = ['done', 'refused'] as const
  for (const path of [...FILES, ...DIRECTORIES]) {
    await until(['done'], locks, { path, instance_id, duration_minutes: 1 })
    await until(ended, `${locks}/release`, { path, instance_id })
  }
  const { id } = await until(['done'], `/api/projects/${project}/tasks`, { title: `Of ${instance_id}` })
  await until(['done'], `/api/tasks/${id}/claim`, { instance_id })
  await until(ended, `/api/tasks/${id}/complete`, { instance_id, summary: 'the last' })
}

/**
 * Ends what agents left behind that did not learn what came of their last request. Returns how many claims some board
 * still showed: they are only shown as long as their node is heard to renew them.
 */
async function giveBackClaims(cluster: Cluster): Promise<number> {
  const boards = await boardsOf(cluster)
  const claimed = new Map([...boards.values()].flat().flatMap((task) => (task.is_claimed ? [[task.id, task]] : [])))
  for (const { id, assigned_to } of claimed.values()) {
    const home = cluster.members.find(({ name }) => assigned_to.startsWith(`${name}-`)) ?? cluster.members[0]
    const body = { instance_id: assigned_to, reason: 'the end' }
    if (home) await request(home.endpoint(), 'POST', `/api/tasks/${id}/release`, body)
  }
  return claimed.size
}

type Boards = ReadonlyMap<string, readonly Json[]>

/** What each node says about the tasks. */
async function boardsOf({ members, project }: Cluster): Promise<Boards> {
  return new Map(
    await Promise.all(members.map(async (member) => [member.name, await tasksOf(member, project)] as const)),
  )
}

/** Tasks of which not all nodes say the same. */
function differences(boards: Boards): string[] {
  const ids = new Set([...boards.values()].flatMap((board) => board.map(({ id }) => id)))
  return [...ids].flatMap((id) => {
    const views = [...boards].map(
      ([name, board]) => [name, JSON.stringify(board.find((task) => task.id === id))] as const,
    )
    const isSame = new Set(views.map(([, view]) => view)).size === 1
    return isSame ? [] : [`task ${id}: ${views.map(([name, view]) => `${name} says ${view}`).join('; ')}`]
  })
}

async function tasksOf(member: ChaosMember, project: string): Promise<Json[]> {
  const tasks: Json[] = []
  for (let page = 1; ; page++) {
    const { data } = await request(member.endpoint(), 'GET', `/api/projects/${project}/tasks?per_page=100&page=${page}`)
    for (const { id, status, is_claimed, assigned_to, completion_summary } of data ?? [])
      tasks.push({ id, status, is_claimed, assigned_to, completion_summary })
    if ((data ?? []).length < 100) return tasks.toSorted((a, b) => a.id.localeCompare(b.id))
  }
}

/** What was acknowledged is still there. */
function lostOperations(
  board: readonly Json[],
  entries: readonly HistoryEntry[],
  created: readonly string[],
): string[] {
  const tasks = new Map<string, Json>(board.map((task) => [task.id, task]))
  const lost = created.filter((id) => !tasks.has(id)).map((id) => `task ${id} was created and is not there`)
  const completed = entries.filter(({ kind, outcome }) => kind === 'task_complete' && outcome === 'done')
  const undone = completed.flatMap(({ agent, about: [id = ''] }) => {
    const task = tasks.get(id)
    const isKept = task?.status === 'completed' && task.completion_summary === `by ${agent}`
    return isKept ? [] : [`task ${id} was completed by ${agent} and is ${JSON.stringify(task)}`]
  })
  return [...lost, ...undone]
}

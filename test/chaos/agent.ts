import { setTimeout as sleep } from 'node:timers/promises'
import type { Json } from '../support/nodes.ts'
import type { ChaosMember } from './cluster.ts'
import type { Dice } from './dice.ts'
import { request, type Reply } from './gateway-client.ts'
import type { HistoryEntry, HistoryLog, OperationKind, Possession } from './history.ts'
import { DIRECTORIES, FILES, leavesOf } from './hot-set.ts'
import type { HotTasks } from './hot-tasks.ts'

const USES_MAX = 3
const USE_PAUSE_MS = 150
const REST_MS = 40
/** After an answer that did not come: whoever is asked again at once is probably still away. */
const AFTER_UNKNOWN_MS = 300

export type AgentDeps = {
  readonly name: string
  readonly home: ChaosMember
  readonly members: readonly ChaosMember[]
  readonly project: string
  readonly tasks: HotTasks
  readonly history: HistoryLog
  readonly dice: Dice
  /** Whether there is another operation to be made. */
  readonly takeTurn: () => boolean
}

type Asked = Pick<HistoryEntry, 'kind' | 'about'> & { readonly gaveUp?: readonly string[] }
type Call = { readonly method?: string; readonly path: string; readonly body?: object }

/** Works through one gateway, one thing after the other: takes what is contended, uses it, gives it back. */
export async function runAgent(deps: AgentDeps): Promise<void> {
  const { dice, home, takeTurn } = deps
  while (takeTurn()) {
    await home.isUp()
    if (dice.chance(0.7)) await workOnFiles(deps)
    else await workOnTask(deps)
    await sleep(dice.between(0, REST_MS))
  }
}

async function ask(
  deps: AgentDeps,
  asked: Asked,
  { method = 'POST', path, body }: Call,
  at = deps.home,
): Promise<Reply> {
  const reply = await request(at.endpoint(), method, path, body)
  const { invokedMs, answeredMs, outcome, status, code } = reply
  deps.history.add({
    ...asked,
    agent: deps.name,
    node: at.name,
    invokedMs,
    answeredMs,
    outcome,
    ...(status !== undefined && { status }),
    ...(code !== undefined && { code }),
    holds: outcome === 'done' ? possessionsIn(asked.kind, reply.data) : [],
    gaveUp: asked.gaveUp ?? [],
  })
  if (outcome === 'unknown') await sleep(AFTER_UNKNOWN_MS)
  return reply
}

function possessionsIn(kind: OperationKind, data: Json): Possession[] {
  if (kind === 'task_claim') return [possession([data.task.id], data.task)]
  if (kind === 'lock_bulk') return data.locks.map((lock: Json) => possession(leavesOf(lock.path), lock))
  const isLock = kind === 'lock' || kind === 'lock_directory' || kind === 'lock_extend'
  return isLock ? [possession(leavesOf(data.path), data)] : []
}

const possession = (leaves: readonly string[], data: Json): Possession => ({
  leaves,
  token: data.fencing_token,
  isCertified: (data.guarantee ?? 'certified') === 'certified',
})

async function workOnFiles(deps: AgentDeps): Promise<void> {
  const paths = choosePaths(deps.dice)
  const reply = await take(deps, paths)
  const held: readonly string[] = reply.outcome === 'done' ? pathsIn(reply.data) : []
  for (let uses = deps.dice.below(USES_MAX + 1); uses > 0 && held.length > 0; uses--) {
    await sleep(deps.dice.between(1, USE_PAUSE_MS))
    if (!deps.takeTurn()) break
    await useFile(deps, deps.dice.pick(held))
  }
  // What may have been taken is given back too.
  for (const path of reply.outcome === 'unknown' ? paths : held) await giveBack(deps, path, tokenOf(reply.data, path))
}

const pathsIn = (data: Json): string[] => (data.locks ?? [data]).map(({ path }: { path: string }) => path)
const tokenOf = (data: Json, path: string): number | undefined =>
  (data?.locks ?? [data]).find((lock: Json) => lock?.path === path)?.fencing_token

function choosePaths(dice: Dice): readonly string[] {
  if (dice.chance(0.2)) return [dice.pick(DIRECTORIES)]
  return dice.shuffled(FILES).slice(0, dice.chance(0.3) ? 2 + dice.below(2) : 1)
}

async function take(deps: AgentDeps, paths: readonly string[]): Promise<Reply> {
  const [only = ''] = paths
  const common = { instance_id: deps.name, duration_minutes: 1 }
  const about = paths.flatMap(leavesOf)
  if (paths.length === 1) {
    const kind = only.endsWith('/') ? 'lock_directory' : 'lock'
    return await ask(deps, { kind, about }, { path: locksOf(deps), body: { ...common, path: only } })
  }
  const body = { ...common, paths, all_or_nothing: deps.dice.chance(0.5) }
  return await ask(deps, { kind: 'lock_bulk', about }, { path: `${locksOf(deps)}/bulk`, body })
}

const locksOf = ({ project }: AgentDeps): string => `/api/projects/${project}/locks`

/** Both ways ask the node that holds the lease whether it still does. */
async function useFile(deps: AgentDeps, path: string): Promise<void> {
  if (deps.dice.chance(0.5)) return void (await take(deps, [path]))
  const body = { path, instance_id: deps.name, additional_minutes: 1 }
  await ask(deps, { kind: 'lock_extend', about: leavesOf(path) }, { path: `${locksOf(deps)}/extend`, body })
}

/** Now and then through another gateway, which needs the token for it. */
async function giveBack(deps: AgentDeps, path: string, token: number | undefined): Promise<void> {
  const asked = { kind: 'lock_release', about: leavesOf(path), gaveUp: leavesOf(path) } as const
  const call = { path: `${locksOf(deps)}/release`, body: { path, instance_id: deps.name, fencing_token: token } }
  const other = deps.dice.pick(deps.members)
  const isElsewhere = token !== undefined && deps.dice.chance(0.1)
  const first = await ask(deps, asked, call, isElsewhere ? other : deps.home)
  if (first.outcome === 'done' || (first.outcome === 'refused' && !isElsewhere)) return
  await deps.home.isUp()
  await ask(deps, asked, call)
}

async function workOnTask(deps: AgentDeps): Promise<void> {
  const { tasks, dice, name } = deps
  const task = tasks.pick(dice)
  if (task === undefined) return await createTask(deps)
  const claim = { path: `/api/tasks/${task}/claim`, body: { instance_id: name } }
  const reply = await ask(deps, { kind: 'task_claim', about: [task] }, claim)
  if (reply.code === 'TSK_004') tasks.isClosed(task)
  if (reply.outcome !== 'done' && reply.outcome !== 'unknown') return
  for (let uses = reply.outcome === 'done' ? dice.below(USES_MAX + 1) : 0; uses > 0; uses--) {
    await sleep(dice.between(1, USE_PAUSE_MS))
    if (!deps.takeTurn()) break
    await ask(deps, { kind: 'task_claim', about: [task] }, claim)
  }
  await endTask(deps, task, reply)
}

async function endTask(deps: AgentDeps, task: string, claimed: Reply): Promise<void> {
  const { name, dice, tasks } = deps
  const isCompleted = claimed.outcome === 'done' && dice.chance(0.4)
  const proof = { instance_id: name, fencing_token: claimed.data?.task.fencing_token }
  const given = isCompleted ? { summary: `by ${name}` } : { reason: 'enough' }
  const [kind, verb] = isCompleted ? (['task_complete', 'complete'] as const) : (['task_release', 'release'] as const)
  const call = { path: `/api/tasks/${task}/${verb}`, body: { ...proof, ...given } }
  const asked = { kind, about: [task], gaveUp: [task] }
  const other = dice.pick(deps.members)
  const isElsewhere = claimed.outcome === 'done' && dice.chance(0.1)
  const first = await ask(deps, asked, call, isElsewhere ? other : deps.home)
  // A completion is not asked for twice: the first may have been done.
  if (!isCompleted && first.outcome !== 'done') await ask(deps, asked, call)
  if (!isCompleted || first.outcome !== 'done') return
  tasks.isClosed(task)
  await createTask(deps)
}

async function createTask(deps: AgentDeps): Promise<void> {
  const call = { path: `/api/projects/${deps.project}/tasks`, body: { title: `Of ${deps.name}`, priority: 'medium' } }
  const { outcome, data } = await ask(deps, { kind: 'task_create', about: [] }, call)
  if (outcome === 'done') deps.tasks.isOpen(data.id)
}

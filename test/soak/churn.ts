import { setTimeout as sleep } from 'node:timers/promises'
import type { Dice } from '../chaos/dice.ts'
import { request } from '../chaos/gateway-client.ts'
import { eventually } from '../support/nodes.ts'
import type { SoakMember, SoakMesh } from './mesh.ts'
import { endSessions, sessionsOf } from './sessions.ts'

/** What agents do, once a second or so each. */
const REST_MS = [300, 1500] as const
/** What befalls the machines, one thing after the other. */
const TROUBLE_REST_MS = [5000, 20_000] as const
const STALL_MS = [3000, 15_000] as const
/** A board as people have them; what is done stays on it. */
const OPEN_TASKS_MAX = 200

export type Ledger = {
  /** Acknowledged. */
  readonly created: Set<string>
  readonly completed: Set<string>
  readonly done: Record<string, number>
  /** What ought not to happen, in words. */
  readonly violations: string[]
}

type Means = { readonly mesh: SoakMesh; readonly dice: Dice; readonly ledger: Ledger; readonly signal: AbortSignal }

/** Works and breaks things until the signal; then everything runs again. */
export async function churn(means: Means): Promise<void> {
  const { mesh } = means
  await Promise.all([...mesh.members.map((member) => agent(means, member)), trouble(means)])
}

const note = ({ done }: Ledger, what: string): void => void (done[what] = (done[what] ?? 0) + 1)

async function rest({ dice, signal }: Means, [min, max]: readonly [number, number]): Promise<void> {
  await sleep(dice.between(min, max), undefined, { signal }).catch(() => undefined) // it is over
}

async function agent(means: Means, member: SoakMember): Promise<void> {
  const { dice, signal } = means
  while (!signal.aborted) {
    const work = dice.pick([onTask, onTask, onTask, onFiles, onFiles, inSession])
    await work(means, member)
    await rest(means, REST_MS)
  }
}

async function onTask({ mesh: { project }, ledger, dice }: Means, member: SoakMember): Promise<void> {
  const post = (path: string, body: object) => request(member.endpoint, 'POST', path, body)
  const instance_id = member.name
  const open = [...ledger.created].filter((id) => !ledger.completed.has(id))
  if (open.length < OPEN_TASKS_MAX && dice.chance(0.5)) {
    const { outcome, data } = await post(`/api/projects/${project}/tasks`, { title: `Of ${member.name}` })
    note(ledger, `task_create ${outcome}`)
    if (outcome === 'done') ledger.created.add(data.id)
    return
  }
  if (open.length === 0) return
  const id = dice.pick(open)
  const claimed = await post(`/api/tasks/${id}/claim`, { instance_id })
  note(ledger, `task_claim ${claimed.outcome}`)
  if (claimed.outcome !== 'done') return
  const ended = dice.chance(0.7)
    ? await post(`/api/tasks/${id}/complete`, { instance_id, summary: 'done' })
    : await post(`/api/tasks/${id}/release`, { instance_id, reason: 'enough' })
  note(ledger, `task_end ${ended.outcome}`)
  if (ended.outcome === 'done' && ended.data.status === 'completed') ledger.completed.add(id)
}

async function onFiles({ mesh: { project }, ledger, dice }: Means, member: SoakMember): Promise<void> {
  const path = `src/${dice.below(20)}.ts`
  const locks = `/api/projects/${project}/locks`
  const body = { path, instance_id: member.name }
  const taken = await request(member.endpoint, 'POST', locks, { ...body, duration_minutes: 1 })
  note(ledger, `lock ${taken.outcome}`)
  if (taken.outcome === 'done') await request(member.endpoint, 'POST', `${locks}/release`, body)
}

/** A terminal on this machine that says something and is ended, with any whose start was not answered in time. */
async function inSession({ ledger }: Means, member: SoakMember): Promise<void> {
  const path = await sessionsOf(member)
  if (path === undefined) return
  const started = await request(member.endpoint, 'POST', path, { agent: 'shell' })
  note(ledger, `session ${started.outcome}`)
  if (started.outcome === 'done')
    await request(member.endpoint, 'POST', `/api/sessions/${started.data.id}/input`, { data: 'echo hello\n' })
  await endSessions(member)
}

async function trouble(means: Means): Promise<void> {
  const { mesh, dice, ledger, signal } = means
  const unsteady = mesh.members.filter(({ isSteady }) => !isSteady)
  for (let visits = 0; !signal.aborted;) {
    await rest(means, TROUBLE_REST_MS)
    if (signal.aborted) return
    const kind = dice.pick(['restart', 'kill', 'stall', 'visit'] as const)
    const member = dice.pick(unsteady)
    try {
      if (kind === 'restart') await member.restart('SIGTERM')
      else if (kind === 'kill') await member.restart('SIGKILL')
      else if (kind === 'stall') await stall(means, member)
      else await mesh.visit(`guest-${++visits}`)
      note(ledger, kind)
    } catch (error) {
      ledger.violations.push(`${kind} (${member.name}): ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

/** Long enough that the others hang up, or nearly. */
async function stall({ dice }: Means, { node }: SoakMember): Promise<void> {
  node.process.kill('SIGSTOP')
  await sleep(dice.between(...STALL_MS))
  node.process.kill('SIGCONT')
  await eventually(async () => ((await fetch(`${node.http}/api/health`)).ok ? true : undefined))
}

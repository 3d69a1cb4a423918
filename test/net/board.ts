import type { Json } from '../support/nodes.ts'
import type { Machine } from './hosts.ts'
import { until } from './hosts.ts'

/** What one node shows of a project: everything that must be the same on every replica. */
export async function boardOf(machine: Machine, project: string): Promise<string> {
  const [tasks, locks, notices] = await Promise.all([
    machine.ask('task.list', { project }),
    machine.ask('lock.list', { project }),
    machine.ask('lock.notices', { project }),
  ])
  return JSON.stringify({
    tasks: tasks.map((task: Json) => JSON.stringify(task)).toSorted(),
    locks: locks.map(lockFacts).toSorted(),
    notices: notices.map(({ id }: Json) => id).toSorted(),
  })
}

/** Until when a lock is held grows with every renewal: it is the one thing that may differ for a moment. */
const lockFacts = ({ path, instanceId, node, guarantee, fencingToken }: Json): string =>
  JSON.stringify({ path, instanceId, node, guarantee, fencingToken })

/** Whether all of them show the same. */
export async function boardsAgree(machines: readonly Machine[], project: string): Promise<boolean> {
  const boards = await Promise.all(machines.map((machine) => boardOf(machine, project)))
  return new Set(boards).size === 1
}

/** The tasks of a project as the gateway of this machine answers over HTTP. */
export async function httpTasks(machine: Machine, project: string, token: string): Promise<Json[]> {
  const { body } = await machine.http('GET', `/api/projects/${project}/tasks?per_page=100`, { token })
  return body.data
    .map(({ id, title, status, is_claimed: isClaimed, assigned_to: holder }: Json) => ({
      id,
      title,
      status,
      isClaimed,
      holder,
    }))
    .toSorted((a: Json, b: Json) => (a.id < b.id ? -1 : 1))
}

/** A project of the first machine that all know, with all of them as voters. */
export async function shareProject(machines: readonly Machine[]): Promise<string> {
  const [first] = machines
  if (first === undefined) throw new Error('a project lies on a machine')
  const { id } = await first.ask('project.add', { path: first.dataDir, name: 'Work' })
  const { machines: voters } = await first.ask('voters.set', { members: machines.map(({ node }) => node.peerId) })
  const names = (list: Json[]): string => list.flatMap(({ voter, name }) => (voter ? [name] : [])).join()
  for (const machine of machines)
    await until(
      async () => {
        const projects = await machine.ask('project.list')
        const view = await machine.ask('voters.view')
        return projects.some((project: Json) => project.id === id) && names(view.machines) === names(voters)
      },
      `${machine.name} knows the project and the voters`,
      30_000,
    )
  return id
}

export const addTask = async (machine: Machine, project: string, title: string): Promise<string> =>
  (await machine.ask('task.add', { project, task: { title } })).id

/** Takes a lock; answers with how sure it is, or why not. */
export async function lock(machine: Machine, project: string, path: string): Promise<string> {
  const answer = await machine.tryAsking('lock.acquire', { project, path, instance: `agent-${machine.name}` })
  return answer.ok ? answer.value.guarantee : answer.error.code
}

export async function claim(machine: Machine, id: string): Promise<string> {
  const answer = await machine.tryAsking('task.claim', { id, instance: `agent-${machine.name}` })
  return answer.ok ? 'claimed' : answer.error.code
}

import { afterEach, beforeEach, expect, it } from 'vitest'
import { projectDoc, type ProjectId } from '../../../../crdt/ids.ts'
import { TaskInput, type Task } from '../../../../crdt/task.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

const OTHER = '00000000-0000-4000-8000-0000000000aa' as ProjectId
const PAGE = { page: 1, perPage: 20 }
/** Longer than a document stays that nobody uses. */
const IDLE_MS = 320_000

let lab: ClaimLab
beforeEach(async () => {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  lab.projects.push({ ...lab.projects[0]!, id: OTHER })
})
afterEach(() => lab.close())

const loaded = ({ documents }: LabNode): string[] =>
  documents.info().flatMap(({ doc, loaded }) => (loaded && doc.startsWith('project/') ? [doc] : []))

async function over<T>(promise: Promise<T>): Promise<T> {
  const answer = await passing(lab, promise)
  await settle()
  return answer
}

const create = async (node: LabNode, title: string, project: ProjectId = PROJECT): Promise<Task> =>
  valueOf(await over(node.tasks.create(node.actor('maker'), project, TaskInput.parse({ title }))))

const claim = async (node: LabNode, { id }: Task, instance: string): Promise<Task> =>
  valueOf(await over(node.tasks.claim(node.actor(instance), id, instance)))

const complete = async (node: LabNode, { id }: Task, instance: string): Promise<string> =>
  codeOf(await over(node.tasks.complete(node.actor(instance), id, { summary: 'done', filesModified: [] })))

const toldBy = ({ told }: LabNode): string[] =>
  told.splice(0).flatMap((event) => ('task' in event ? [`${event.type} ${event.task.title}`] : []))

/** Nothing is stored about documents from now on, as if the node were to crash. */
const willCrash = ({ store }: LabNode): void => void (store.saveSummary = async () => undefined)

it('[D6] tasks of a project that nobody uses leave memory, and are found, listed and changed all the same', async () => {
  const [a] = lab.nodes as [LabNode, LabNode]
  const [one, two] = [await create(a, 'one'), await create(a, 'two', OTHER)]
  await lab.pass(IDLE_MS)
  expect(loaded(a)).toEqual([])
  expect(codeOf(await a.tasks.get('00000000-0000-4000-8000-0000000000ff'))).toBe('task_not_found')
  expect(loaded(a)).toEqual([])
  expect(valueOf(await a.tasks.get(two.id)).title).toBe('two')
  expect(loaded(a)).toEqual([projectDoc(OTHER)])
  expect(codeOf(await over(a.tasks.remove(a.actor('maker'), two.id)))).toBe('ok')
  const next = await create(a, 'three', OTHER)
  await lab.pass(IDLE_MS)
  expect([loaded(a), codeOf(await a.tasks.get(two.id)), codeOf(await a.tasks.get(next.id))]).toEqual([
    [],
    'task_not_found',
    'ok',
  ])
  expect(valueOf(await a.tasks.list(PROJECT, {}, PAGE)).items.map(({ id }) => id)).toEqual([one.id])
})

it('what happens to a project that is not in memory is told once, as what it is', async () => {
  const [a, b] = lab.nodes as [LabNode, LabNode]
  const task = await create(a, 'one')
  await lab.pass(IDLE_MS)
  toldBy(b)
  expect(loaded(b)).toEqual([])
  await over(a.tasks.update(a.actor('maker'), task.id, { priority: 'high' }))
  await create(a, 'two')
  expect(toldBy(b)).toEqual(['task.updated one', 'task.created two'])
  await lab.pass(IDLE_MS)
  await b.tasks.list(PROJECT, {}, PAGE)
  expect(toldBy(b)).toEqual([])
})

it('a claim of this node keeps its project in memory until it ends, one of another node does not', async () => {
  const [a, b] = lab.nodes as [LabNode, LabNode]
  const task = await create(a, 'one')
  const mine = await claim(b, task, 'agent')
  await lab.pass(IDLE_MS)
  expect([loaded(a), loaded(b)]).toEqual([[], [projectDoc(PROJECT)]])
  expect(valueOf(await a.tasks.overview(PROJECT))).toEqual({ pending: 0, instances: ['agent'] })
  expect(loaded(a)).toEqual([])
  expect(valueOf(await b.tasks.get(task.id)).claim?.fencingToken).toBe(mine.claim?.fencingToken)
  expect(await complete(b, task, 'agent')).toBe('ok')
  await lab.pass(IDLE_MS)
  expect([loaded(a), loaded(b)]).toEqual([[], []])
  expect(valueOf(await a.tasks.overview(PROJECT))).toEqual({ pending: 0, instances: [] })
})

it('a holder that falls silent is told to who watches, and counts no more for who does not', async () => {
  lab.projects.forEach((project) => (project.settings = { ...project.settings, taskTimeoutMinutes: 600 }))
  const [a, b] = lab.nodes as [LabNode, LabNode]
  const task = await create(a, 'one')
  await claim(b, task, 'agent')
  const release = valueOf(await a.tasks.watch(PROJECT))
  await lab.pass(IDLE_MS)
  expect(loaded(a)).toEqual([projectDoc(PROJECT)])
  toldBy(a)
  lab.disconnect(b)
  await lab.pass(70_000)
  expect(toldBy(a)).toEqual(['task.released one'])
  release()
  await lab.pass(IDLE_MS)
  expect(loaded(a)).toEqual([])
  expect(valueOf(await a.tasks.overview(PROJECT))).toEqual({ pending: 1, instances: [] })
  expect(codeOf(await a.tasks.watch('00000000-0000-4000-8000-0000000000ff'))).toBe('project_not_found')
})

it.each(['a stop', 'a crash'])('after %s a claim goes on, and nothing else has to be in memory', async (what) => {
  const [, b] = lab.nodes as [LabNode, LabNode]
  const task = await create(b, 'one')
  const other = await create(b, 'two', OTHER)
  await lab.pass(IDLE_MS)
  const before = await claim(b, task, 'agent')
  if (what === 'a crash') willCrash(b)
  const again = await lab.restart(1)
  expect(await over(again.tasks.claim(again.actor('agent'), task.id, 'agent')).then(valueOf)).toMatchObject({
    claim: { leaseId: before.claim?.leaseId, fencingToken: before.claim?.fencingToken },
  })
  expect(loaded(again)).toEqual([projectDoc(PROJECT)])
  expect(valueOf(await again.tasks.get(other.id)).title).toBe('two')
  expect(await complete(again, task, 'agent')).toBe('ok')
})

it('tasks that came and went are found or not after each time the index was stored, also where the disk refused', async () => {
  const [a] = lab.nodes as [LabNode, LabNode]
  const rest = (): Promise<void> => lab.pass(15_000)
  const one = await create(a, 'one')
  await rest()
  const two = await create(a, 'two')
  const saveSummary = a.store.saveSummary.bind(a.store)
  a.store.saveSummary = () => Promise.reject(new Error('the disk is full'))
  await rest()
  await over(a.tasks.remove(a.actor('maker'), one.id))
  a.store.saveSummary = saveSummary
  await rest()
  const three = await create(a, 'three')
  await lab.pass(IDLE_MS)
  expect(loaded(a)).toEqual([])
  const named = await Promise.all([one, two, three].map(({ id }) => a.documents.named(id)))
  expect(named.map(({ length }) => length)).toEqual([0, 1, 1])
})

it('after a crash, tasks are found by an index that is made anew', async () => {
  const [, b] = lab.nodes as [LabNode, LabNode]
  willCrash(b)
  const task = await create(b, 'one')
  const again = await lab.restart(1)
  expect(valueOf(await over(again.tasks.get(task.id))).title).toBe('one')
  await lab.pass(IDLE_MS)
  expect([loaded(again), valueOf(await again.tasks.get(task.id)).title]).toEqual([[], 'one'])
})

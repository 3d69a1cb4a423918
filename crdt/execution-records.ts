import type * as Y from 'yjs'
import { z } from 'zod'
import { EXECUTION_STATUSES, isOver, type Execution } from './execution.ts'
import { CommandId, ExecutionId, MachineId, PeerId, ProjectId } from './ids.ts'

/** Further maps of `machine/<peer>`. `executions`: id → what never changes. `execution-states`: id → what does. */
const EXECUTIONS = 'executions'
const EXECUTION_STATES = 'execution-states'

/** More than a machine ever has: waiting, running and kept. */
const EXECUTIONS_READ_MAX = 1000

/** Ended executions whose record and output a machine keeps. With 16 MB of output each this is at most 800 MB. */
export const ENDED_EXECUTIONS_KEPT_MAX = 50

const Body = z.object({
  commandId: CommandId,
  name: z.string().min(1).max(512),
  line: z.string().min(1).max(8192),
  folder: z.string().min(1).max(4096),
  projectId: ProjectId.nullable(),
  createdBy: z.string().min(1).max(128),
  queuedAt: z.iso.datetime(),
})

const State = z.object({
  status: z.enum(EXECUTION_STATUSES),
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  exitCode: z.int().nullable(),
  signal: z.string().max(32).nullable(),
  problem: z.string().max(2048).nullable(),
})

/** An execution as it crosses the mesh in answers. */
export const ExecutionRecord = z.object({
  id: ExecutionId,
  machineId: MachineId,
  node: PeerId,
  ...Body.shape,
  ...State.shape,
})

type Owner = { readonly peer: PeerId; readonly machineId: MachineId }

/** Every valid execution of the machine's document. Whose document it is comes from its name, never from its content. */
export function readExecutions(doc: Y.Doc, owner: Owner): Execution[] {
  const states = doc.getMap(EXECUTION_STATES)
  const executions: Execution[] = []
  for (const [key, body] of doc.getMap(EXECUTIONS)) {
    const execution = executionOf(key, { body, state: states.get(key) }, owner)
    if (execution) executions.push(execution)
    if (executions.length >= EXECUTIONS_READ_MAX) break
  }
  return executions
}

export function writeExecution(doc: Y.Doc, execution: Execution): void {
  const [bodies, states] = [doc.getMap(EXECUTIONS), doc.getMap(EXECUTION_STATES)]
  if (!bodies.has(execution.id)) bodies.set(execution.id, Body.parse(execution))
  states.set(execution.id, State.parse(execution))
}

export function deleteExecution(doc: Y.Doc, id: ExecutionId): void {
  doc.getMap(EXECUTIONS).delete(id)
  doc.getMap(EXECUTION_STATES).delete(id)
}

/** The ended executions beyond what is kept: those that ended first. */
export const excessExecutions = (executions: readonly Execution[]): Execution[] =>
  executions
    .filter(isOver)
    .toSorted((a, b) => (b.endedAt ?? '').localeCompare(a.endedAt ?? '') || b.id.localeCompare(a.id))
    .slice(ENDED_EXECUTIONS_KEPT_MAX)

function executionOf(
  key: string,
  record: { readonly body: unknown; readonly state: unknown },
  { peer, machineId }: Owner,
): Execution | undefined {
  const id = ExecutionId.safeParse(key)
  const body = Body.safeParse(record.body)
  const state = State.safeParse(record.state)
  if (!id.success || !body.success || !state.success) return undefined
  return { id: id.data, machineId, node: peer, ...body.data, ...state.data }
}

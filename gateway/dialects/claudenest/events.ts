import type { Broadcast } from '../../../crdt/activity.ts'
import type { Ability } from '../../../crdt/actor.ts'
import type { DomainEvent } from '../../../crdt/domain-event.ts'
import type { Execution } from '../../../crdt/execution.ts'
import type { Session } from '../../../crdt/session.ts'
import type { Task } from '../../../crdt/task.ts'
import { wireBroadcast } from './wire-activity.ts'
import { wireExecution } from './wire-commands.ts'
import { wireConflict, wireLock, wireSession, wireTask } from './wire.ts'

/** A topic is a channel without its prefix and spelling: `session.<id>`, `project.<id>`, `machine.<id>`, `mesh`. */
export type Topic = string

/** One event as subscribers get it. Those whose token lacks the ability do not. */
export type Delivery = {
  readonly topics: readonly Topic[]
  readonly ability: Ability
  /** With a colon; the hub adds the spelling with a dot. */
  readonly name: string
  readonly data: object
}

const task = (event: { readonly task: Task }, name: string, more: object = {}): Delivery => ({
  topics: [`project.${event.task.projectId}`],
  ability: 'task:read',
  name,
  data: { task: wireTask(event.task), ...more },
})

const project = (id: string, name: string): Delivery => ({
  topics: [`project.${id}`, 'mesh'],
  ability: 'project:read',
  name,
  data: { projectId: id, project_id: id },
})

const machine = (id: string): Delivery => ({
  topics: [`machine.${id}`, 'mesh'],
  ability: 'machine:read',
  name: 'machine:changed',
  data: { machineId: id, machine_id: id },
})

const mcp = ({ machineId, name, state }: DomainEvent & { type: 'mcp.changed' }): Delivery => ({
  topics: [`machine.${machineId}`],
  ability: 'mcp:read',
  name: 'mcp:status',
  data: {
    machineId,
    machine_id: machineId,
    id: state.id,
    name,
    status: state.status,
    transport: state.transport,
    tools_count: state.toolsCount,
    last_started_at: state.lastStartedAt,
  },
})

const broadcast = (sent: Broadcast): Delivery => ({
  topics: [`project.${sent.projectId}`],
  ability: 'project:read',
  name: 'project:broadcast',
  data: wireBroadcast(sent),
})

const session = (changed: Session, name: string, nowMs: number): Delivery => ({
  topics: [`session.${changed.id}`, `machine.${changed.machineId}`],
  ability: 'session:read',
  name,
  data: { session: wireSession(changed, nowMs) },
})

const EXECUTION_NAMES = {
  'execution.queued': 'command:queued',
  'execution.started': 'command:started',
  'execution.ended': 'command:finished',
} as const

const execution = (changed: Execution, name: string, nowMs: number): Delivery => ({
  topics: [
    `machine.${changed.machineId}`,
    `execution.${changed.id}`,
    ...(changed.projectId === null ? [] : [`project.${changed.projectId}`]),
  ],
  ability: 'command:read',
  name,
  data: {
    executionId: changed.id,
    execution_id: changed.id,
    exitCode: changed.exitCode,
    exit_code: changed.exitCode,
    execution: wireExecution(changed, nowMs),
  },
})

const skills = ({ machineId, projectIds }: Extract<DomainEvent, { type: 'skills.changed' }>): Delivery => ({
  topics: [`machine.${machineId}`, ...projectIds.map((id) => `project.${id}`)],
  ability: 'skill:read',
  name: 'skills:changed',
  data: { machineId, machine_id: machineId, projectIds, project_ids: projectIds },
})

/** Every domain event in the document's words; a new one does not compile until it has some. */
export function translate(event: DomainEvent, nowMs: number): Delivery {
  switch (event.type) {
    case 'task.created':
      return task(event, 'task:created')
    case 'task.updated':
      return task(event, 'task:updated')
    case 'task.deleted':
      return {
        topics: [`project.${event.projectId}`],
        ability: 'task:read',
        name: 'task:deleted',
        data: { taskId: event.taskId, task_id: event.taskId },
      }
    case 'task.claimed':
      return task(event, 'task:claimed', { instanceId: event.instanceId, instance_id: event.instanceId })
    case 'task.released':
      return task(event, 'task:released', { reason: event.reason })
    case 'task.completed':
      return task(event, 'task:completed', { summary: event.summary })
    case 'file.locked': {
      const { lock } = event
      return file(event.projectId, 'file:locked', {
        path: lock.path,
        lockedBy: lock.instanceId,
        reason: lock.reason,
        lock: wireLock(lock, nowMs),
      })
    }
    case 'file.unlocked':
      return file(event.projectId, 'file:unlocked', { path: event.path })
    case 'file.conflict':
      return file(event.projectId, 'file:conflict', wireConflict(event.notice))
    case 'project.created':
    case 'project.updated':
    case 'project.deleted':
      return project(event.projectId, event.type.replace('.', ':'))
    case 'project.broadcast':
      return broadcast(event.broadcast)
    case 'session.created':
    case 'session.updated':
      return session(event.session, event.type.replace('.', ':'), nowMs)
    case 'session.ended':
      return ended(event.session, nowMs)
    case 'execution.queued':
    case 'execution.started':
    case 'execution.ended':
      return execution(event.execution, EXECUTION_NAMES[event.type], nowMs)
    case 'mcp.changed':
    case 'machine.changed':
    case 'pairing.changed':
    case 'skills.changed':
    case 'members.changed':
      return translateMachines(event)
    default:
      return event satisfies never
  }
}

type MachineEvent = Extract<DomainEvent, { type: `${'mcp' | 'machine' | 'pairing' | 'skills' | 'members'}.changed` }>

function translateMachines(event: MachineEvent): Delivery {
  switch (event.type) {
    case 'mcp.changed':
      return mcp(event)
    case 'machine.changed':
      return machine(event.machineId)
    case 'pairing.changed':
      return { topics: ['mesh'], ability: 'machine:write', name: 'pairing:changed', data: {} }
    case 'skills.changed':
      return skills(event)
    case 'members.changed':
      return { topics: ['mesh'], ability: 'machine:read', name: 'members:changed', data: {} }
    default:
      return event satisfies never
  }
}

const file = (projectId: string, name: string, data: object): Delivery => ({
  topics: [`project.${projectId}`],
  ability: 'lock:read',
  name,
  data,
})

/** For the machine's channel only: viewers of the session learn of its end in order, after the last byte of output. */
const ended = (gone: Session, nowMs: number): Delivery => ({
  topics: [`machine.${gone.machineId}`],
  ability: 'session:read',
  name: 'session:terminated',
  data: {
    sessionId: gone.id,
    session_id: gone.id,
    exitCode: gone.exitCode,
    exit_code: gone.exitCode,
    session: wireSession(gone, nowMs),
  },
})

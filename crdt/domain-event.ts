import type { Broadcast } from './activity.ts'
import type { Execution } from './execution.ts'
import type { FileLock, LockNotice } from './lock.ts'
import type { MachineId, PeerId, ProjectId, SessionId, TaskId } from './ids.ts'
import type { McpState } from './mcp.ts'
import type { Session } from './session.ts'
import type { Task } from './task.ts'

/**
 * What happened in the mesh, told on every node, whichever node did it. Dialects map all of them. Session output is
 * not here: it flows only to those who attach.
 */
export type DomainEvent =
  | { readonly type: 'task.created' | 'task.updated'; readonly projectId: ProjectId; readonly task: Task }
  | { readonly type: 'task.deleted'; readonly projectId: ProjectId; readonly taskId: TaskId }
  | { readonly type: 'task.claimed'; readonly projectId: ProjectId; readonly task: Task; readonly instanceId: string }
  | { readonly type: 'task.released'; readonly projectId: ProjectId; readonly task: Task; readonly reason: string }
  | {
      readonly type: 'task.completed'
      readonly projectId: ProjectId
      readonly task: Task
      readonly summary: string
      /** The node that held the claim: what is to be done once in the mesh is done there. Null where it was not known. */
      readonly node: PeerId | null
    }
  | { readonly type: 'file.locked'; readonly projectId: ProjectId; readonly lock: FileLock }
  | { readonly type: 'file.unlocked'; readonly projectId: ProjectId; readonly path: string }
  /** A provisional lock gave way to another's. */
  | { readonly type: 'file.conflict'; readonly projectId: ProjectId; readonly notice: LockNotice }
  | { readonly type: 'project.created' | 'project.updated' | 'project.deleted'; readonly projectId: ProjectId }
  /** Somebody has a message for those who follow the project. Told once, kept nowhere. */
  | { readonly type: 'project.broadcast'; readonly projectId: ProjectId; readonly broadcast: Broadcast }
  | {
      readonly type: 'session.created' | 'session.updated' | 'session.ended'
      readonly sessionId: SessionId
      readonly session: Session
    }
  | {
      readonly type: 'execution.queued' | 'execution.started' | 'execution.ended'
      readonly execution: Execution
    }
  /** An MCP server of a machine has started, stopped, crashed, or has other tools. */
  | { readonly type: 'mcp.changed'; readonly machineId: MachineId; readonly name: string; readonly state: McpState }
  /** Machines that wait at this gateway to be paired: another one, or one fewer. Told on this node only. */
  | { readonly type: 'pairing.changed' }
  | { readonly type: 'machine.changed'; readonly machineId: MachineId }
  /** Skills of a machine were added, changed or removed, in these projects or its user's home. Kept nowhere. */
  | { readonly type: 'skills.changed'; readonly machineId: MachineId; readonly projectIds: readonly ProjectId[] }
  | { readonly type: 'members.changed' }

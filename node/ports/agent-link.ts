import type { MachineId, SessionId } from '../../crdt/ids.ts'
import type { PtySize, SessionMode, SessionStatus } from '../../crdt/session.ts'
import type { BridgedSpec, SessionHosts } from './session-host.ts'

/** What the agent of a machine without a node is told to do. */
export type AgentOrder =
  | {
      readonly type: 'create'
      readonly id: SessionId
      readonly mode: SessionMode
      readonly agent: string
      /** Null: wherever the agent was started. */
      readonly projectPath: string | null
      readonly prompt: string | null
      readonly size: PtySize
    }
  | { readonly type: 'input'; readonly id: SessionId; readonly text: string }
  | { readonly type: 'resize'; readonly id: SessionId; readonly size: PtySize }
  | { readonly type: 'terminate'; readonly id: SessionId; readonly force: boolean }
  /** Whether it still runs the session: the only answer that counts is that it does not. */
  | { readonly type: 'inquire'; readonly id: SessionId }

/** What the agent says about its sessions. */
export type AgentReport =
  | { readonly type: 'output'; readonly id: SessionId; readonly text: string; readonly stream: 'output' | 'error' }
  | {
      readonly type: 'status'
      readonly id: SessionId
      readonly status: SessionStatus
      readonly problem: string | null
    }
  | { readonly type: 'exited'; readonly id: SessionId; readonly exitCode: number | null }
  | {
      readonly type: 'refused'
      readonly order: AgentOrder['type']
      /** Undefined where the agent does not say which; then it is the one that is being created. */
      readonly id: SessionId | undefined
      readonly isUnknown: boolean
      readonly message: string
    }

/** The open connection to an agent. */
export interface AgentLink {
  /** False, and nothing is sent, when too much waits for the agent already or the connection is gone. */
  send(order: AgentOrder): boolean
}

/** What came of a report. `unknown`: no session of this machine has that id here. */
export type Taken = 'taken' | 'unknown'

/** Sessions at the other end of agents' connections, kept here: records, logs, output, viewers. */
export interface BridgedHosts extends SessionHosts<BridgedSpec> {
  /** The agent of a machine is there. Sessions that it had go on; those whose end it missed are ended. */
  connect(machine: MachineId, link: AgentLink): void
  /** That connection is gone. What the agent does not come back to in time ends. */
  disconnect(machine: MachineId, link: AgentLink): void
  /** To be called once all is known that the agent says by itself when it starts: asks what it still runs. */
  inquire(machine: MachineId): void
  /** What the agent says about one of its sessions. */
  take(machine: MachineId, report: AgentReport): Taken
  /** The machine is no more: its sessions end. */
  forget(machine: MachineId): void
}

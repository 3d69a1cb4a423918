import type { MachineId, PeerId } from './ids.ts'

/** Facts a machine states about itself (only it can write them). */
export type MachineFacts = {
  readonly name: string
  readonly hostname: string
  readonly platform: string
  readonly arch: string
  readonly nodeVersion: string
  readonly rookeryVersion: string
  readonly claudeVersion: string | null
  readonly claudePath: string | null
  /** Agent CLIs found, name → absolute path. */
  readonly agents: Readonly<Record<string, string>>
  readonly capabilities: readonly string[]
  readonly maxSessions: number
  /** Its owner says that it is never switched off or suspended: a good voter, whatever others have seen of it. */
  readonly alwaysOn: boolean
}

export type MachineStatus = 'online' | 'offline' | 'connecting'

/** A host of the mesh as every surface reads it: the facts, and what this node knows of its liveness. */
export type Machine = MachineFacts & {
  readonly id: MachineId
  /** Null for a bridged machine (registered over HTTP, no node behind it). */
  readonly node: PeerId | null
  /** The gateway that the agent of a bridged machine is connected to, or was last; null for any other machine. */
  readonly bridge: PeerId | null
  readonly status: MachineStatus
  /** Why the status is not `online`, for a person; null while it is. */
  readonly offlineReason: string | null
  readonly activeSessions: number
  readonly lastSeenAt: string | null
  readonly connectedAt: string | null
  readonly createdAt: string
}

import type { Capability } from '../../crdt/capability.ts'
import type { MeshId, PeerId } from '../../crdt/ids.ts'
import type { Result } from '../../crdt/result.ts'

export type MemberView = {
  readonly peerId: PeerId
  readonly name: string
  readonly online: boolean
  /** Multiaddr of the connection in use, `self`, or null. */
  readonly reachedBy: string | null
  readonly rttMs: number | null
  readonly voter: boolean
  readonly capabilities: readonly Capability[]
  readonly lastSeenAt: string | null
  /** What is wrong with this member, if anything (frozen feed, other protocol version). */
  readonly problem: string | null
}

export type MeshStatus = {
  readonly meshId: MeshId
  readonly peerId: PeerId
  readonly name: string
  /** Base address of the gateway, or null for a node without one. */
  readonly http: string | null
  readonly members: readonly MemberView[]
  readonly voters: readonly PeerId[]
  readonly documents: readonly {
    readonly id: string
    readonly authors: number
    readonly envelopes: number
    readonly pending: number
  }[]
  readonly setupCode?: string
  readonly problems: readonly string[]
}

export type MeshService = {
  status(): Promise<MeshStatus>
  members(): readonly MemberView[]
  /** A single-use ticket, one line. */
  invite(options: {
    capabilities?: readonly Capability[]
    expiresInMs?: number
  }): Promise<Result<{ ticket: string; expiresAt: string }>>
  /** By peer id or unambiguous name. Closes its connections and voids what it signs from now on. */
  remove(member: string): Promise<Result<MemberView>>
  /** Removes this node from the mesh, gracefully. */
  leave(): Promise<Result<null>>
  onChange(listener: () => void): () => void
}

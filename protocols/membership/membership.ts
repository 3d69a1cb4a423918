import type { Capability } from '../../crdt/capability.ts'
import type { DocId, MeshId, PeerId } from '../../crdt/ids.ts'

/** Where a removed author's feed of one document ends: envelopes beyond it are void. */
export type FeedCut = { readonly seq: number; readonly hash: Uint8Array }

export type Member = {
  readonly peer: PeerId
  readonly name: string
  /** X25519 public key for sealed secrets. */
  readonly boxKey: Uint8Array
  readonly capabilities: ReadonlySet<Capability>
  /** Smaller is more senior: the founder is 0. Settles mutual removal. */
  readonly seniority: number
}

/** What the membership log says, as a pure function of its set of records: the order of arrival never matters. */
export type Membership = {
  readonly mesh: MeshId
  readonly founder: PeerId
  readonly members: ReadonlyMap<PeerId, Member>
  /** Former members, with the end of each of their feeds; a document that is not named ends before its first envelope. */
  readonly removed: ReadonlyMap<PeerId, ReadonlyMap<DocId, FeedCut>>
  /**
   * Peers that were admitted by records which turned out to have no effect (their inviter was removed at the same time,
   * another used the invite first): neither members nor removed. Members may have built on what they wrote meanwhile.
   */
  readonly voided: ReadonlySet<PeerId>
  /** Invites that can still be used, by the hex hash of their record. */
  readonly invites: ReadonlyMap<string, OpenInvite>
  /** Voter set of epoch 1, as the founder wrote it down; for the lease layer to read and verify. */
  readonly leaseConfig: Uint8Array | undefined
  /**
   * Voter sets of later epochs, for the lease layer to verify: every sealed one in the log, and the forced ones that
   * had effect. From senior to junior, so a set comes after those its writer knew. Several members may have written down the same one.
   */
  readonly voterSets: readonly RecordedVoterSet[]
  /** What is said to prove that voters broke their word, for the lease layer to verify. */
  readonly voterFaults: readonly Uint8Array[]
  /** Recovery keys that can be used: the newest one, or several made at the same time. Senior ones first. */
  readonly recoveryKeys: readonly RecoveryKey[]
  /** Records nobody refers to yet, in byte order: the parents of the next record. */
  readonly heads: readonly Uint8Array[]
}

export type RecoveryKey = {
  /** Hex hash of its record. */
  readonly id: string
  readonly publicKey: Uint8Array
  /** What it gives to who uses it. */
  readonly capabilities: readonly Capability[]
  readonly by: PeerId
  /** By its author's clock. */
  readonly atMs: number
}

export type RecordedVoterSet = {
  readonly kind: 'sealed' | 'forced'
  readonly bytes: Uint8Array
  /** Why it was forced. */
  readonly reason?: string
  /** The member that wrote it into the log. */
  readonly by: PeerId
}

export type OpenInvite = {
  readonly id: string
  readonly inviter: PeerId
  readonly inviteKey: Uint8Array
  readonly capabilities: readonly Capability[]
  readonly expiresAtMs: number
}

export const hasCapability = (membership: Membership, peer: PeerId, capability: Capability): boolean =>
  membership.members.get(peer)?.capabilities.has(capability) ?? false

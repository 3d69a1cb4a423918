import { domainError, invalidField } from '../../../crdt/errors.ts'
import type { Capability } from '../../../crdt/capability.ts'
import type { MeshId, PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { fromHex, toHex } from '../../../protocols/codec.ts'
import type { Membership, RecoveryKey } from '../../../protocols/membership/membership.ts'
import { type Draft, PARENTS_MAX, sortedCapabilities } from '../../../protocols/membership/records.ts'
import type { MembershipService } from './membership-service.ts'

export type RecoveryKeyView = {
  /** Hex hash of its record. */
  readonly id: string
  /** In hex, as everything here that is bytes. */
  readonly publicKey: string
  readonly createdAt: string
  readonly by: PeerId
  readonly byName: string
  /** False when whoever made it, and may know the words, was removed since. */
  readonly isByMember: boolean
  readonly capabilities: readonly Capability[]
}

export type RecoveryStatus = {
  readonly mesh: MeshId
  readonly self: PeerId
  readonly isAdmin: boolean
  /** Names of the members with `admin`. */
  readonly admins: readonly string[]
  /** Those that can be used. More than one only when several were made at the same time. */
  readonly keys: readonly RecoveryKeyView[]
  /** What a proof made now has to cover. */
  readonly parents: readonly string[]
}

/** By the recovery key, over what `recoveryProofBytes` says. */
export type RecoveryProof = {
  readonly recoveryKey: string
  readonly parents: readonly string[]
  readonly proof: string
}

/** What becomes of a mesh whose admins are lost. The words never come here: only their public key and signatures. */
export type RecoveryService = {
  status(): RecoveryStatus
  /**
   * Publishes a recovery key; those known so far can no longer be used.
   * @errors forbidden (no `admin`), limit_reached, storage_failed
   */
  create(publicKey: string): Promise<Result<RecoveryStatus>>
  /**
   * Makes this node an admin.
   * @errors superseded (the membership changed since the proof was made: make another), invalid_input (no such key),
   *   forbidden (a wrong proof), limit_reached, storage_failed
   */
  use(proof: RecoveryProof): Promise<Result<RecoveryStatus>>
}

export type RecoveryServiceDeps = {
  readonly self: PeerId
  readonly membership: Pick<MembershipService, 'current' | 'author'>
  readonly nameOf: (peer: PeerId) => string
}

export function createRecoveryService(deps: RecoveryServiceDeps): RecoveryService {
  const { self, membership } = deps
  const status = (): RecoveryStatus => statusOf(deps, membership.current())
  return {
    status,
    async create(publicKey) {
      const authored = await membership.author(({ resolution }) => keyDraft(resolution.membership, self, publicKey))
      return authored.ok ? ok(status()) : authored
    },
    async use(proof) {
      const authored = await membership.author(({ resolution }) => recoverDraft(resolution.membership, self, proof))
      return authored.ok ? ok(status()) : authored
    },
  }
}

function statusOf({ self, nameOf }: RecoveryServiceDeps, current: Membership): RecoveryStatus {
  const admins = [...current.members.values()].filter(({ capabilities }) => capabilities.has('admin'))
  const view = ({ id, publicKey, by, atMs, capabilities }: RecoveryKey): RecoveryKeyView => ({
    id,
    publicKey: toHex(publicKey),
    createdAt: new Date(atMs).toISOString(),
    by,
    byName: nameOf(by),
    isByMember: current.members.has(by),
    capabilities,
  })
  return {
    mesh: current.mesh,
    self,
    isAdmin: admins.some(({ peer }) => peer === self),
    admins: admins.map(({ peer }) => nameOf(peer)),
    keys: current.recoveryKeys.map(view),
    parents: parentsIn(current),
  }
}

function keyDraft({ members }: Membership, self: PeerId, publicKey: string): Result<Draft> {
  const own = members.get(self)?.capabilities
  if (!own?.has('admin'))
    return err(domainError('forbidden', { message: 'This node may not make a recovery key: it lacks `admin`.' }))
  return ok({ type: 'recoveryKey', key: fromHex(publicKey), capabilities: sortedCapabilities([...own]) })
}

function recoverDraft(
  current: Membership,
  self: PeerId,
  { recoveryKey, parents, proof }: RecoveryProof,
): Result<Draft> {
  const key = current.recoveryKeys.find(({ id }) => id === recoveryKey)
  if (!key) return err(invalidField('recoveryKey', 'is none that can be used in this mesh'))
  if (parentsIn(current).join() !== parents.join())
    return err(domainError('superseded', { message: 'The membership has just changed. Try again.' }))
  const held = current.members.get(self)?.capabilities ?? []
  return ok({
    type: 'recover',
    recoveryKey: fromHex(key.id),
    capabilities: sortedCapabilities([...held, ...key.capabilities]),
    proof: fromHex(proof),
  })
}

const parentsIn = ({ heads }: Membership): string[] => heads.slice(0, PARENTS_MAX).map(toHex)

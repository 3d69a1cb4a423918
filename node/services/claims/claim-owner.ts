import { encodeCanonical, toHex } from '../../../protocols/codec.ts'
import { can } from '../../../crdt/actor.ts'
import type { Ability, Actor } from '../../../crdt/actor.ts'
import type { Crypto } from '../../../protocols/crypto.ts'

/**
 * The owner of a lease within this node. Leases of one owner never exclude each other, and instance ids are public:
 * so the token is part of it.
 */
export function leaseOwner(crypto: Pick<Crypto, 'sha256'>, tokenId: string, instanceId: string): string {
  return toHex(crypto.sha256(encodeCanonical([tokenId, instanceId]))).slice(0, 32)
}

/**
 * Whether the actor may end or prolong what was taken: with the token that took it, or by knowing the fencing token
 * and having the ability. An instance id, where given, must be the holder's in any case.
 */
export function mayActFor(
  held: { instanceId: string; tokenId: string; fencingToken: number | null },
  by: { actor: Actor; instanceId?: string | undefined; fencingToken?: number | undefined; ability: Ability },
): boolean {
  if (by.instanceId !== undefined && by.instanceId !== held.instanceId) return false
  if (by.actor.tokenId === held.tokenId) return true
  return by.fencingToken === held.fencingToken && can(by.actor, by.ability)
}

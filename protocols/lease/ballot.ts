import { z } from 'zod'
import { MeshId, PeerId } from '../../crdt/ids.ts'
import { Hash } from '../crypto.ts'
import { Incarnation } from './messages.ts'
import { Packed } from './signing.ts'

/*
 * How voters agree on their successors: one decree of Paxos per epoch, in which accepting is also the seal on the old
 * epoch (L2.7).
 */

/** Unique to one attempt of one proposer; compared by `n`, then by `id`. */
export const Ballot = z.strictObject({ n: z.int().min(0), id: z.string().regex(/^[0-9a-f]{32}$/) })
export type Ballot = z.infer<typeof Ballot>

export const isBelow = (a: Ballot, b: Ballot): boolean => a.n < b.n || (a.n === b.n && a.id < b.id)
export const isSameBallot = (a: Ballot, b: Ballot): boolean => a.n === b.n && a.id === b.id

/** The configuration that is to be replaced. */
const from = { v: z.literal(1), space: MeshId, epoch: z.int().min(1), cid: Hash }

export const Prepare = z.strictObject({ ...from, ballot: Ballot, node: PeerId })
export type Prepare = z.infer<typeof Prepare>

export const Accepted = z.strictObject({ ballot: Ballot, config: Packed })
export type Accepted = z.infer<typeof Accepted>

export const Promised = z.strictObject({
  ...from,
  voter: PeerId,
  inc: Incarnation,
  ballot: Ballot,
  accepted: Accepted.optional(),
  vseq: z.int().min(1),
})
export type Promised = z.infer<typeof Promised>

/** `config` is the signed next configuration. */
export const Accept = z.strictObject({ ...from, ballot: Ballot, config: Packed, node: PeerId })
export type Accept = z.infer<typeof Accept>

/** From here on this voter grants and renews nothing in this epoch. `estate` is what it leaves to its successors. */
export const SealVote = z.strictObject({
  ...from,
  voter: PeerId,
  inc: Incarnation,
  ballot: Ballot,
  /** Hash of the next configuration. */
  next: Hash,
  /** Hash of the encoded estate, which travels in `pages` pieces. */
  estate: Hash,
  pages: z.int().min(1).max(1024),
  vseq: z.int().min(1),
})
export type SealVote = z.infer<typeof SealVote>

/** The only thing that activates an epoch after the first, but for force. */
export const SealCertificate = z.strictObject({ config: Packed, seals: z.array(Packed).min(1).max(63) })
export type SealCertificate = z.infer<typeof SealCertificate>

/** A node's offer to vote: the incarnation of its journal. */
export const Candidate = z.strictObject({ v: z.literal(1), space: MeshId, node: PeerId, inc: Incarnation })
export type Candidate = z.infer<typeof Candidate>

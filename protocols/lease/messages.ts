import { z } from 'zod'
import { DocId, MeshId, PeerId } from '../../crdt/ids.ts'
import { Hash } from '../crypto.ts'
import { Packed, type Signed } from './signing.ts'

/*
 * What is stated in the lease protocol. What somebody else may have to believe later is signed: its body is canonical CBOR
 * and travels as the bytes that were signed, under the tag `rookery/lease/1/<kind>` (see signing.ts); a hash that names a
 * statement is that of its bytes.
 */

export const LEASE_PROTOCOL = '/rookery/lease/1'

export const RESOURCES_PER_LEASE_MAX = 512
export const RESOURCE_KEY_CHARS_MAX = 1200
export const LEASES_PER_OWNER_MAX = 2048
export const MAX_TTL_MS = 10 * 60_000
/** More than this neither make a quorum likelier nor can be waited for. */
export const VOTERS_MAX = 63

/** Compared lexicographically. */
export const Token = z.strictObject({
  epoch: z.int().min(1),
  n: z
    .int()
    .min(0)
    .max(2 ** 32 - 1),
})
export type Token = z.infer<typeof Token>

export const tokenNumber = (token: Token): number => token.epoch * 2 ** 32 + token.n

export const Incarnation = z.string().regex(/^[0-9a-f]{32}$/)
export const LeaseId = z.string().regex(/^[0-9a-f]{32}$/)

export const Resource = z.strictObject({
  kind: z.enum(['path', 'task', 'name']),
  /** Normalised by the requester; voters refuse a key that is not. */
  key: z.string().max(RESOURCE_KEY_CHARS_MAX),
  /** `subtree` covers the key and everything below `key/`. */
  mode: z.enum(['exact', 'subtree']),
})
export type Resource = z.infer<typeof Resource>

export const HolderInfo = z.strictObject({
  instanceId: z.string().min(1).max(128),
  reason: z.string().max(256).optional(),
  /** Wall time in ms at which the holder gives up by itself; for display only. */
  untilMs: z.int().min(0),
})
export type HolderInfo = z.infer<typeof HolderInfo>

export const Position = z.strictObject({ doc: DocId, author: PeerId, seq: z.int().min(0) })
export type Position = z.infer<typeof Position>

export const Voter = z.strictObject({ node: PeerId, inc: Incarnation })
export type Voter = z.infer<typeof Voter>

/** The voter set of one epoch. Epoch 1 is signed by the mesh's founder, later ones by an admin. */
export const Config = z.strictObject({
  v: z.literal(1),
  space: MeshId,
  epoch: z
    .int()
    .min(1)
    .max(2 ** 20),
  voters: z.array(Voter).min(1).max(VOTERS_MAX),
  /** Hash of the configuration that this one replaces; null in epoch 1. */
  prev: Hash.nullable(),
  by: PeerId,
})
export type Config = z.infer<typeof Config>

export const LeaseRequest = z.strictObject({
  v: z.literal(1),
  space: MeshId,
  epoch: z.int().min(1),
  /** Hash of the Config this request is addressed to. */
  cid: Hash,
  lid: LeaseId,
  seq: z.int().min(0),
  node: PeerId,
  /** `<node boot nonce>/<instance>`. */
  owner: z.string().min(1).max(256),
  info: HolderInfo,
  res: z.array(Resource).min(1).max(RESOURCES_PER_LEASE_MAX),
  token: Token,
  ttl: z.int().min(1).max(MAX_TTL_MS),
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  /** Highest vseq seen from each voter, by `<peer>/<inc>`: shows a voter that was rolled back. */
  seen: z.record(z.string().max(128), z.int().min(0)),
})
export type LeaseRequest = z.infer<typeof LeaseRequest>

export const Grant = z.strictObject({
  v: z.literal(1),
  space: MeshId,
  epoch: z.int().min(1),
  voter: PeerId,
  inc: Incarnation,
  lid: LeaseId,
  seq: z.int().min(0),
  reqHash: Hash,
  token: Token,
  ttl: z.int().min(1),
  vseq: z.int().min(1),
  /**
   * Of the first grant of this lease by this voter in this epoch. From then to `vseq` an honest voter granted nothing
   * that overlaps to another owner: two grants that say otherwise convict it.
   */
  first: z.int().min(1),
  /** Last writes of earlier holders of overlapping resources. */
  after: z.array(Position).max(64),
})
export type Grant = z.infer<typeof Grant>

export const DENY_REASONS = [
  'conflict',
  'stale',
  /** The request is for another voter set, or this one is being replaced. */
  'epoch',
  'released',
  'notvoter',
  'recovering',
  'revoked',
  'limit',
  'malformed',
] as const

/** Unsigned: nobody but the holder hears it, and who says it is known from the channel. */
export const Deny = z.strictObject({
  lid: LeaseId,
  reqHash: Hash,
  why: z.enum(DENY_REASONS),
  /** With `stale` and `conflict`: the smallest acceptable token, as far as this voter knows. */
  min: Token.optional(),
  /** With `conflict`: who holds it. */
  by: z
    .strictObject({ owner: z.string(), node: PeerId, lid: LeaseId, info: HolderInfo, res: z.array(Resource).max(8) })
    .optional(),
  /** With `epoch`: the epoch of this voter. */
  epoch: z.int().min(1).optional(),
})
export type Deny = z.infer<typeof Deny>

/** Unsigned as well: it ends a lease of the node whose channel it comes through. */
export const Release = z.strictObject({
  lid: LeaseId,
  /** The last write made under the lease; handed to the next holder, who waits for it. */
  after: Position.optional(),
})
export type Release = z.infer<typeof Release>

/** Valid when at least a quorum of distinct voters of the epoch's Config granted this exact request. */
export type Certificate = { readonly req: Signed<LeaseRequest>; readonly grants: readonly Signed<Grant>[] }

export const PackedCertificate = z.strictObject({ req: Packed, grants: z.array(Packed).min(1).max(VOTERS_MAX) })
export type PackedCertificate = z.infer<typeof PackedCertificate>

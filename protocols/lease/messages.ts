import { z } from 'zod'
import { DocId, MeshId, PeerId } from '../../crdt/ids.ts'
import { Hash, Signature } from '../crypto.ts'

/*
 * Wire and journal shapes of the lease protocol. Every signed body is canonical CBOR; the signature covers everything
 * but `sig`, under the tag `rookery/lease/1/<kind>`.
 */

export const LEASE_PROTOCOL = '/rookery/lease/1'

export const RESOURCES_PER_LEASE_MAX = 512
export const RESOURCE_KEY_CHARS_MAX = 1200
export const LEASES_PER_OWNER_MAX = 2048
export const MAX_TTL_MS = 10 * 60_000

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

/** The voter set of one epoch. Epoch 1 is signed by the mesh's founder; later ones need a certificate of seals. */
export const Config = z.strictObject({
  v: z.literal(1),
  space: MeshId,
  epoch: z.int().min(1),
  voters: z.array(Voter).min(1).max(63),
  prev: Hash.nullable(),
  by: PeerId,
  sig: Signature,
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
  sig: Signature,
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
  /** Last writes of earlier holders of overlapping resources. */
  after: z.array(Position).max(64),
  sig: Signature,
})
export type Grant = z.infer<typeof Grant>

export const DENY_REASONS = [
  'conflict',
  'stale',
  'epoch',
  'released',
  'notvoter',
  'recovering',
  'revoked',
  'limit',
  'malformed',
] as const

export const Deny = z.strictObject({
  v: z.literal(1),
  space: MeshId,
  voter: PeerId,
  inc: Incarnation,
  lid: LeaseId,
  seq: z.int().min(0),
  reqHash: Hash,
  why: z.enum(DENY_REASONS),
  /** With `stale` and `conflict`: the smallest acceptable token, as far as this voter knows. */
  min: Token.optional(),
  /** With `conflict`: who holds it. */
  by: z
    .strictObject({ owner: z.string(), node: PeerId, lid: LeaseId, info: HolderInfo, res: z.array(Resource).max(8) })
    .optional(),
  /** With `epoch`: the voter's current configuration. */
  config: Config.optional(),
  sig: Signature,
})
export type Deny = z.infer<typeof Deny>

export const Release = z.strictObject({
  v: z.literal(1),
  space: MeshId,
  lid: LeaseId,
  node: PeerId,
  token: Token,
  /** The last write made under the lease; handed to the next holder, who waits for it. */
  after: Position.optional(),
  sig: Signature,
})
export type Release = z.infer<typeof Release>

/** Valid when at least a quorum of distinct voters of the epoch's Config granted this exact request. */
export const Certificate = z.strictObject({ req: LeaseRequest, grants: z.array(Grant).min(1).max(63) })
export type Certificate = z.infer<typeof Certificate>

import { z } from 'zod'
import { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../codec.ts'
import { Hash } from '../crypto.ts'
import {
  HolderInfo,
  Incarnation,
  LeaseId,
  MAX_TTL_MS,
  Position,
  RESOURCES_PER_LEASE_MAX,
  Resource,
  Token,
} from './messages.ts'

/** A request over many resources, with room for the rest. */
const RECORD_BYTES_MAX = 1024 * 1024

const lease = { node: PeerId, lid: LeaseId }
const res = z.array(Resource).min(1).max(RESOURCES_PER_LEASE_MAX)
const ttl = z.int().min(1).max(MAX_TTL_MS)
const promise = { info: HolderInfo, seq: z.int().min(0), ttl, vseq: z.int().min(1), reqHash: Hash }

export const ScopedPosition = z.strictObject({ scope: z.string().max(1300), at: Position })
export type ScopedPosition = z.infer<typeof ScopedPosition>

/** What a voter remembers, in order of effect. */
export const VoterRecord = z.discriminatedUnion('t', [
  /** The voter's incarnation from here on. */
  z.strictObject({ t: z.literal('init'), v: z.literal(1), inc: Incarnation }),
  z.strictObject({
    t: z.literal('grant'),
    ...lease,
    ...promise,
    owner: z.string().max(256),
    res,
    token: Token,
    ttlMax: ttl,
    after: z.array(Position).max(64),
  }),
  /** A further promise for a lease that is live; what is not here stays as it was. */
  z.strictObject({ t: z.literal('renew'), ...lease, ...promise }),
  z.strictObject({ t: z.literal('rel'), ...lease, after: Position.optional() }),
  z.strictObject({ t: z.literal('exp'), ...lease }),
  /** The rest is written by compaction only. */
  z.strictObject({
    t: z.literal('ended'),
    ...lease,
    res,
    token: Token,
    released: z.boolean(),
    after: Position.optional(),
  }),
  z.strictObject({
    t: z.literal('floor'),
    vseq: z.int().min(0),
    token: Token.nullable(),
    after: z.array(ScopedPosition).max(1024),
  }),
])
export type VoterRecord = z.infer<typeof VoterRecord>

export const encodeRecord = (record: VoterRecord): Uint8Array => encodeCanonical(record)

/** @throws MalformedError */
export const decodeRecord = (bytes: Uint8Array): VoterRecord => decodeCanonical(VoterRecord, bytes, RECORD_BYTES_MAX)

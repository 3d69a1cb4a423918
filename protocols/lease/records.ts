import { z } from 'zod'
import { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../codec.ts'
import { Bytes, Hash } from '../crypto.ts'
import { Ballot } from './ballot.ts'
import { LiveGrant, ScopedPosition } from './estate.ts'
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
import { Packed } from './signing.ts'

/** A request over many resources, with room for the rest. */
const RECORD_BYTES_MAX = 1024 * 1024

const lease = { node: PeerId, lid: LeaseId }
const res = z.array(Resource).min(1).max(RESOURCES_PER_LEASE_MAX)
const ttl = z.int().min(1).max(MAX_TTL_MS)
const vseq = z.int().min(1)
const promise = { info: HolderInfo, seq: z.int().min(0), ttl, vseq, reqHash: Hash }

/** What a voter remembers, in order of effect. */
export const VoterRecord = z.discriminatedUnion('t', [
  /** The voter's incarnation from here on. */
  z.strictObject({ t: z.literal('init'), v: z.literal(1), inc: Incarnation }),
  /**
   * The voter set from here on. `waits`: promises of the one before are unknown, so they are waited out. Else what is
   * known of them follows, and a `floor` at its end.
   */
  z.strictObject({ t: z.literal('epoch'), config: Packed, waits: z.boolean() }),
  /** A promise made in an earlier epoch, by this voter or another. */
  z.strictObject({ t: z.literal('import'), grant: LiveGrant }),
  /** The wait is over. */
  z.strictObject({ t: z.literal('ready') }),
  z.strictObject({
    t: z.literal('grant'),
    ...lease,
    ...promise,
    owner: z.string().max(256),
    res,
    token: Token,
    ttlMax: ttl,
    first: vseq,
    after: z.array(Position).max(64),
  }),
  /** A further promise for a lease that is live; what is not here stays as it was. */
  z.strictObject({ t: z.literal('renew'), ...lease, ...promise }),
  z.strictObject({ t: z.literal('rel'), ...lease, after: Position.optional() }),
  z.strictObject({ t: z.literal('exp'), ...lease }),
  z.strictObject({ t: z.literal('prom'), ballot: Ballot, vseq }),
  /** Nothing is granted in this epoch any more. The pages of the estate come before: a seal must not be without. */
  z.strictObject({ t: z.literal('seal'), ballot: Ballot, config: Packed, vseq }),
  z.strictObject({ t: z.literal('estate'), hash: Hash, page: z.int().min(0), bytes: Bytes }),
  /** Written by compaction only. */
  z.strictObject({
    t: z.literal('ended'),
    ...lease,
    res,
    token: Token,
    first: z.int().min(0),
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
export type RecordOf<T extends VoterRecord['t']> = Extract<VoterRecord, { t: T }>

export const encodeRecord = (record: VoterRecord): Uint8Array => encodeCanonical(record)

/** @throws MalformedError */
export const decodeRecord = (bytes: Uint8Array): VoterRecord => decodeCanonical(VoterRecord, bytes, RECORD_BYTES_MAX)

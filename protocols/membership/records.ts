import { z } from 'zod'
import type { Capability } from '../../crdt/capability.ts'
import { CAPABILITIES } from '../../crdt/capability.ts'
import { DocId, MeshId, PeerId } from '../../crdt/ids.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { decodeCanonical, encodeCanonical, MalformedError, toHex } from '../codec.ts'
import { Bytes, type Crypto, Hash, Signature, type Signer, signingBytes } from '../crypto.ts'

/** A removal with the most cuts, with room to spare; the same as the largest envelope, so one frame limit serves both. */
export const RECORD_BYTES_MAX = 256 * 1024
/** Records of later releases are kept without being understood, so they get less room. */
export const OPAQUE_BYTES_MAX = 16 * 1024
/** Concurrent branches one record can merge; more than members who act at once. */
export const PARENTS_MAX = 64
/** Documents whose feeds a removal can end, so that the record stays below its limit. */
export const CUTS_MAX = 2000
/** What a name may hold must fit into a table on a terminal. */
export const MEMBER_NAME_CHARS_MAX = 64
/** Nesting that an uninterpreted record may have; keeps re-encoding it within the stack. */
const OPAQUE_DEPTH_MAX = 16

/** No control, format or unassigned characters: what others print on their terminals. */
export const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]+$/u

/** Names are printed on other people's terminals. */
export const MemberName = z
  .string()
  .min(1)
  .max(MEMBER_NAME_CHARS_MAX)
  .regex(PRINTABLE, 'must not contain control characters')
  .refine((name) => name.trim() === name, 'must not begin or end with a space')

export const BoxKey = z.instanceof(Uint8Array).refine((bytes) => bytes.byteLength === 32, 'must be 32 bytes')

/** Names that this release does not know are kept in the record and grant nothing. */
export const CapabilityNames = z
  .array(z.string().regex(/^[a-z][a-z-]{0,31}$/))
  .max(32)
  .refine((names) => isAscending(names), 'must be sorted and unique')

/**
 * Voter sets travel as canonical CBOR of their own, which only the lease layer reads: this log says who wrote one and
 * whether that had effect. A certificate of five voters with a thousand live leases each is below the limit.
 */
export const VOTER_SET_BYTES_MAX = 64 * 1024
/** A sentence. As a name, it is printed on other people's terminals. */
export const ForceReason = z.string().min(1).max(256).regex(PRINTABLE, 'must not contain control characters')

const VoterSetBytes = Bytes.refine(
  ({ byteLength }) => byteLength >= 1 && byteLength <= VOTER_SET_BYTES_MAX,
  'must be 1 to 65536 bytes',
)

const Parents = z
  .array(Hash)
  .min(1)
  .max(PARENTS_MAX)
  .refine((hashes) => isAscending(hashes.map(toHex)), 'must be sorted and unique')
const TimeMs = z.int().min(0)
const header = { v: z.literal(1), mesh: MeshId, author: PeerId, parents: Parents, at: TimeMs, sig: Signature }

export const FeedCut = z.strictObject({ seq: z.int().min(0), hash: Hash })

/** Every record this release interprets. Signed over everything but `sig`, under `rookery/log/1`. */
export const KnownRecord = z.discriminatedUnion('type', [
  z.strictObject({
    ...header,
    type: z.literal('genesis'),
    /** The mesh id is this record's hash, so it cannot be inside. */
    mesh: z.undefined().optional(),
    parents: z.array(Hash).length(0),
    name: MemberName,
    boxKey: BoxKey,
    nonce: Hash,
  }),
  z.strictObject({
    ...header,
    type: z.literal('admit'),
    peer: PeerId,
    name: MemberName,
    boxKey: BoxKey,
    capabilities: CapabilityNames,
    /** Hash of the invite record. */
    invite: Hash,
    /** By the invite key: whoever holds the ticket wanted this peer with this box key admitted. */
    proof: Signature,
  }),
  z.strictObject({ ...header, type: z.literal('setCapabilities'), peer: PeerId, capabilities: CapabilityNames }),
  z.strictObject({
    ...header,
    type: z.literal('remove'),
    peer: PeerId,
    cuts: z.record(DocId, FeedCut).refine((cuts) => Object.keys(cuts).length <= CUTS_MAX, 'too many cuts'),
  }),
  z.strictObject({
    ...header,
    type: z.literal('invite'),
    inviteKey: BoxKey,
    capabilities: CapabilityNames,
    expiresAt: TimeMs,
  }),
  z.strictObject({ ...header, type: z.literal('revokeInvite'), invite: Hash }),
  z.strictObject({ ...header, type: z.literal('leaseConfig'), config: VoterSetBytes }),
  /** Replaces every recovery key that its author knew. What it can give back is never wider than its author's own. */
  z.strictObject({
    ...header,
    type: z.literal('recoveryKey'),
    key: BoxKey,
    capabilities: CapabilityNames.refine((names) => names.includes('admin'), 'must include admin'),
  }),
  z.strictObject({
    ...header,
    type: z.literal('recover'),
    /** Hash of the recoveryKey record. */
    recoveryKey: Hash,
    /** What the key gives, and what the author has already and keeps. */
    capabilities: CapabilityNames,
    /** By the recovery key: whoever holds the words wanted this from this node, here and now. */
    proof: Signature,
  }),
  /** Proves itself by the voters' signatures inside, so it counts whoever wrote it here and whatever became of them. */
  z.strictObject({ ...header, type: z.literal('voterSet'), cert: VoterSetBytes }),
  /** Two statements of a voter that contradict each other: proves itself likewise. */
  z.strictObject({ ...header, type: z.literal('voterFault'), proof: VoterSetBytes }),
  z.strictObject({
    ...header,
    type: z.literal('forcedVoterSet'),
    config: VoterSetBytes,
    reason: ForceReason,
  }),
])
export type KnownRecord = z.infer<typeof KnownRecord>
const KNOWN_TYPES: ReadonlySet<string> = new Set(KnownRecord.options.map((option) => option.shape.type.value))

/** What any release's record has; the rest of it is only interpreted by releases that know the type. */
const AnyRecord = z.looseObject({
  v: z.int().min(1),
  mesh: MeshId.optional(),
  type: z.string().min(1).max(64),
  author: PeerId,
  parents: z.array(Hash).max(PARENTS_MAX),
  at: TimeMs,
  sig: Signature,
})
const OpaqueRecord = AnyRecord.extend({ mesh: MeshId, parents: Parents })

export type OpaqueAct = { readonly type: 'opaque'; readonly name: string }

/** A record whose form and signature have been checked. Whether it has any effect is the resolver's matter. */
export type LogRecord = {
  /** SHA-256 of `bytes`. */
  readonly id: Uint8Array
  /** `id` in hex. */
  readonly key: string
  readonly bytes: Uint8Array
  readonly mesh: MeshId
  readonly author: PeerId
  /** Hex ids of the records it was made in knowledge of. */
  readonly parents: readonly string[]
  readonly act: KnownRecord | OpaqueAct
}

/** Why bytes from elsewhere are not taken into the log. */
export type RecordRefusal =
  | 'malformed'
  | 'bad_signature'
  | 'foreign_mesh'
  | 'unauthorised'
  | 'bad_invite'
  | 'bad_recovery'
  | 'limit_reached'

/** The part of a record its author decides; the rest follows from the state of the log. */
export type Draft =
  | DraftOf<'genesis'>
  | DraftOf<'admit'>
  | DraftOf<'setCapabilities'>
  | DraftOf<'remove'>
  | DraftOf<'invite'>
  | DraftOf<'revokeInvite'>
  | DraftOf<'leaseConfig'>
  | DraftOf<'recoveryKey'>
  | DraftOf<'recover'>
  | DraftOf<'voterSet'>
  | DraftOf<'voterFault'>
  | DraftOf<'forcedVoterSet'>
type DraftOf<T extends KnownRecord['type']> = Omit<Extract<KnownRecord, { type: T }>, keyof typeof header>

/**
 * Parses and verifies one record from a peer or the disk: size, canonical form, shape, signature. Never throws, whatever
 * the bytes.
 */
export function parseRecord(crypto: Crypto, bytes: Uint8Array): Result<LogRecord, RecordRefusal> {
  const parsed = parseShape(bytes)
  if (!parsed) return err('malformed')
  const { sig, ...body } = parsed.record
  if (!crypto.verify(body.author, signingBytes(crypto, 'rookery/log/1', body), sig)) return err('bad_signature')
  return ok(describe(crypto, bytes, parsed.record, parsed.act))
}

/** Signs a record. @throws MalformedError when the draft breaks the record's own schema or limits. */
export function sealRecord(
  crypto: Crypto,
  signer: Signer,
  place: { mesh: MeshId | undefined; parents: readonly Uint8Array[]; atMs: number },
  draft: Draft,
): LogRecord {
  const body = {
    ...draft,
    v: 1,
    mesh: place.mesh,
    author: signer.peer,
    parents: place.parents,
    at: place.atMs,
  }
  const sig = signer.sign(signingBytes(crypto, 'rookery/log/1', body))
  const sealed = parseRecord(crypto, encodeCanonical({ ...body, sig }))
  if (!sealed.ok) throw new MalformedError(`a ${draft.type} record we made ourselves is ${sealed.error}`)
  return sealed.value
}

/** What the invite key signs, so that every replica can verify that the ticket's holder asked for this admission. */
export function inviteProofBytes(
  crypto: Crypto,
  claim: { mesh: MeshId; peer: PeerId; boxKey: Uint8Array; invite: Uint8Array },
): Uint8Array {
  const { mesh, peer, boxKey, invite } = claim
  return signingBytes(crypto, 'rookery/invite/1', { mesh, peer, boxKey, invite })
}

/**
 * What the recovery key signs. It covers the record's parents, so that a proof once published gives nobody anything a
 * second time: whoever was demoted since would have to build upon the demotion, and needs the words again.
 */
export function recoveryProofBytes(
  crypto: Crypto,
  claim: { mesh: MeshId; peer: PeerId; recoveryKey: Uint8Array; parents: readonly Uint8Array[] },
): Uint8Array {
  const { mesh, peer, recoveryKey, parents } = claim
  return signingBytes(crypto, 'rookery/recovery/1', { mesh, peer, recoveryKey, parents })
}

/** The names this release knows, in the catalogue's order. */
export const knownCapabilities = (names: readonly string[]): readonly Capability[] =>
  CAPABILITIES.filter((capability) => names.includes(capability))

export const sortedCapabilities = (names: readonly string[]): string[] => [...new Set(names)].toSorted()

function parseShape(
  bytes: Uint8Array,
): { record: z.infer<typeof AnyRecord>; act: KnownRecord | OpaqueAct } | undefined {
  try {
    const record = decodeCanonical(AnyRecord, bytes, RECORD_BYTES_MAX)
    if (record.v === 1 && KNOWN_TYPES.has(record.type)) {
      const known = KnownRecord.safeParse(record)
      return known.success ? { record, act: known.data } : undefined
    }
    const isAcceptable =
      bytes.byteLength <= OPAQUE_BYTES_MAX &&
      OpaqueRecord.safeParse(record).success &&
      isShallow(record, OPAQUE_DEPTH_MAX)
    return isAcceptable ? { record, act: { type: 'opaque', name: record.type } } : undefined
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

function describe(
  crypto: Crypto,
  bytes: Uint8Array,
  record: z.infer<typeof AnyRecord>,
  act: LogRecord['act'],
): LogRecord {
  const id = crypto.sha256(bytes)
  const key = toHex(id)
  const mesh = record.mesh ?? MeshId.parse(key)
  return { id, key, bytes, mesh, author: record.author, parents: record.parents.map(toHex), act }
}

function isAscending(values: readonly string[]): boolean {
  return values.every((value, i) => i === 0 || (values[i - 1] ?? '') < value)
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return true
  return depth > 0 && Object.values(value).every((inner) => isShallow(inner, depth - 1))
}

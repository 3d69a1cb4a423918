import { decode } from 'cborg'
import { z } from 'zod'
import { Actor } from '../../crdt/actor.ts'
import { DocId, MeshId, PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, decodeInPlace, encodeCanonical, MalformedError } from '../codec.ts'
import { Hash, Signature, signingBytes, type Crypto, type SignatureCheck, type Signer } from '../crypto.ts'
import type { FeedCut } from '../membership/membership.ts'

/** One envelope is one frame, one store value and one Yjs transaction everywhere: small enough to buffer and to relay. */
export const ENVELOPE_BYTES_MAX = 256 * 1024

/** Leaves room in an envelope for its header with the largest `deps` and `actor`. */
export const UPDATE_BYTES_MAX = 192 * 1024

/** Authors one envelope can depend on: more than any mesh has members. */
export const DEPS_MAX = 512

export const NONCE_BYTES = 16

/** A feed that grew by a thousand envelopes a second would reach this after 34 years. */
const SEQ_MAX = 2 ** 40

const Seq = z.int().min(1).max(SEQ_MAX)
const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')

const Body = z.strictObject({
  v: z.literal(1),
  mesh: MeshId,
  doc: DocId,
  author: PeerId,
  seq: Seq,
  prev: Hash.nullable(),
  deps: z.record(PeerId, z.strictObject({ seq: Seq, hash: Hash })),
  at: z.int().min(0),
  actor: Actor.optional(),
  nonce: Bytes.refine((bytes) => bytes.byteLength === NONCE_BYTES, `must be ${NONCE_BYTES} bytes`).optional(),
  update: Bytes.refine((bytes) => bytes.byteLength <= UPDATE_BYTES_MAX, `at most ${UPDATE_BYTES_MAX} bytes`),
})

const Sealed = Body.extend({ sig: Signature }).superRefine((envelope, ctx) => {
  if ((envelope.prev === null) !== (envelope.seq === 1)) ctx.addIssue('only a first envelope has no predecessor')
  if (Object.hasOwn(envelope.deps, envelope.author)) ctx.addIssue('an envelope depends on its own author')
  if (Object.keys(envelope.deps).length > DEPS_MAX) ctx.addIssue(`at most ${DEPS_MAX} dependencies`)
})

export type EnvelopeBody = {
  readonly mesh: MeshId
  readonly doc: DocId
  readonly author: PeerId
  /** From 1 on, without gaps. */
  readonly seq: number
  /** Hash of the author's previous envelope of this document; null in the first. */
  readonly prev: Uint8Array | null
  /** Last applied envelope of every other author: where it changed, or all of them in an envelope with a nonce. */
  readonly deps: Readonly<Record<PeerId, FeedCut>>
  /** The author's wall clock in ms: for people and for the order of sending, never for a decision. */
  readonly at: number
  /** On whose behalf. */
  readonly actor?: Actor | undefined
  /** From this envelope on, the author writes with the clientID that follows from this nonce. */
  readonly nonce?: Uint8Array | undefined
  /** Everything the author wrote to the document in one batch, as one Yjs update (V1 encoding). */
  readonly update: Uint8Array
}

/** An envelope whose form has been checked, with its bytes and their hash. Its signature has not: `hasValidSignature`. */
export type Envelope = EnvelopeBody & {
  readonly v: 1
  readonly sig: Uint8Array
  readonly bytes: Uint8Array
  readonly hash: Uint8Array
}

const TAG = 'rookery/env/1'

/** Signs and encodes; the caller makes the result durable before it leaves the machine. */
export function sealEnvelope(body: EnvelopeBody, signer: Signer, crypto: Crypto): Envelope {
  const signed = { v: 1 as const, ...body }
  const envelope = { ...signed, sig: signer.sign(signingBytes(crypto, TAG, signed)) }
  const bytes = encodeCanonical(envelope)
  if (bytes.byteLength > ENVELOPE_BYTES_MAX) throw new RangeError(`envelope of ${bytes.byteLength} bytes`)
  return { ...envelope, bytes, hash: crypto.sha256(bytes) }
}

/**
 * Parses untrusted bytes without looking at the signature or the update.
 * @throws MalformedError and nothing else.
 */
export function parseEnvelope(bytes: Uint8Array, crypto: Crypto): Envelope {
  return { ...decodeCanonical(Sealed, bytes, ENVELOPE_BYTES_MAX), bytes, hash: crypto.sha256(bytes) }
}

/**
 * As `parseEnvelope`, for bytes that have passed it before and were kept since: at half the price, without asking again
 * whether the encoding is the canonical one.
 * @throws MalformedError and nothing else.
 */
export function parseKeptEnvelope(bytes: Uint8Array, crypto: Crypto): Envelope {
  let value: unknown
  try {
    value = decode(bytes)
  } catch (cause) {
    throw new MalformedError('not CBOR', { cause })
  }
  const parsed = Sealed.safeParse(value)
  if (!parsed.success) throw new MalformedError('not an envelope', { cause: parsed.error })
  return { ...parsed.data, bytes, hash: crypto.sha256(bytes) }
}

/** As `parseEnvelope`, for what stays in memory: all its parts are views of `bytes`, which nobody may change any more. */
export function parseHeldEnvelope(bytes: Uint8Array, crypto: Crypto): Envelope {
  return { ...decodeInPlace(Sealed, bytes, ENVELOPE_BYTES_MAX), bytes, hash: crypto.sha256(bytes) }
}

export function hasValidSignature(envelope: Envelope, crypto: Crypto): boolean {
  const { signer, message, signature } = signatureOf(envelope, crypto)
  return crypto.verify(signer, message, signature)
}

/** What has to be verified for the envelope to be genuine: for those who have it done elsewhere. */
export function signatureOf(envelope: Envelope, crypto: Crypto): SignatureCheck {
  const { bytes: _bytes, hash: _hash, sig, ...body } = envelope
  return { signer: envelope.author, message: signingBytes(crypto, TAG, body), signature: sig }
}

/**
 * The Yjs clientID that an author uses in a document from the envelope that declares `nonce` on: 53 bits of a hash over
 * author, document and nonce. So nobody can declare a clientID of somebody else's, and every replica knows the owner of
 * a struct whatever the order in which envelopes arrive.
 */
export function clientIdOf(crypto: Crypto, author: PeerId, doc: DocId, nonce: Uint8Array): number {
  const hash = crypto.sha256(encodeCanonical([author, doc, nonce]))
  let id = 0
  for (const byte of hash.subarray(0, 6)) id = id * 256 + byte
  return id * 32 + ((hash[6] ?? 0) >> 3)
}

/** Parses, or says why not. */
export function tryParseEnvelope(bytes: Uint8Array, crypto: Crypto): Envelope | string {
  try {
    return parseEnvelope(bytes, crypto)
  } catch (error) {
    if (error instanceof MalformedError) return `malformed envelope: ${error.message}`
    throw error
  }
}

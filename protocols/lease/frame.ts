import { z } from 'zod'
import { decodeCanonical, encodeCanonical } from '../codec.ts'
import { Bytes, Hash } from '../crypto.ts'
import { Accept, Ballot, Candidate, Prepare, Promised, SealVote } from './ballot.ts'
import { Deny, Grant, Incarnation, LeaseId, LeaseRequest, Release } from './messages.ts'
import { pack, Packed, type Signatures, type Signed } from './signing.ts'

/** A request over 512 long paths fits; anything larger is a mistake or an attack. */
export const MESSAGE_BYTES_MAX = 512 * 1024
/** One message of the largest size and the small ones batched with it. */
export const FRAME_BYTES_MAX = 1024 * 1024
export const MESSAGES_PER_FRAME_MAX = 64
/** A piece of an estate; a frame holds one beside other messages. */
export const PAGE_BYTES_MAX = 256 * 1024

/** What carries a signature of its author's, by the word it travels under. */
const SIGNED = {
  request: LeaseRequest,
  /** A grant shown to the voter that made it. */
  proof: Grant,
  grant: Grant,
  candidate: Candidate,
  prepare: Prepare,
  promise: Promised,
  accept: Accept,
  seal: SealVote,
} as const
type SignedName = keyof typeof SIGNED

const Unsigned = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('deny'), m: Deny }),
  z.strictObject({ t: z.literal('release'), m: Release }),
  /** Hint to a node that was refused: what stood in the way of this lease is gone. */
  z.strictObject({ t: z.literal('free'), m: z.strictObject({ lid: LeaseId }) }),
  /**
   * A voter to a node that says it has seen more of this incarnation than the voter remembers: show me. A bare number
   * must not be able to put a voter out of service, its own signature may.
   */
  z.strictObject({ t: z.literal('prove'), m: z.strictObject({ inc: Incarnation, above: z.int().min(0) }) }),
  /** Hint to a proposer: a higher ballot has been promised. */
  z.strictObject({ t: z.literal('outbid'), m: z.strictObject({ epoch: z.int().min(1), ballot: Ballot }) }),
  /**
   * A voter to an admin's node: this epoch is sealed here, and its voters cannot complete what was accepted. An admin's
   * node can, whoever proposed it.
   */
  z.strictObject({ t: z.literal('stalled'), m: z.strictObject({ epoch: z.int().min(1) }) }),
  /** Asks a node for its offer to vote. */
  z.strictObject({ t: z.literal('ask'), m: z.strictObject({}) }),
  /** Asks a voter that has sealed its epoch for a piece of what it leaves to its successors. */
  z.strictObject({ t: z.literal('pull'), m: z.strictObject({ estate: Hash, page: z.int().min(0).max(1023) }) }),
  z.strictObject({
    t: z.literal('page'),
    m: z.strictObject({ estate: Hash, page: z.int().min(0).max(1023), bytes: Bytes }),
  }),
])

export type SignedMessage = {
  [Name in SignedName]: { readonly t: Name; readonly m: Signed<z.infer<(typeof SIGNED)[Name]>> }
}[SignedName]
export type LeaseMessage = z.infer<typeof Unsigned> | SignedMessage

const Known = z.discriminatedUnion('t', [
  ...Unsigned.options,
  z.strictObject({ t: z.enum(Object.keys(SIGNED) as SignedName[]), m: Packed }),
])
const names = new Set<string>([...Object.keys(SIGNED), ...Unsigned.options.map(({ shape }) => shape.t.value)])
/** What a later release may say. */
const Later = z
  .looseObject({ t: z.string().max(32) })
  .refine(({ t }) => !names.has(t))
  .transform(() => undefined)
const Outer = z.union([Known, Later])
const Frame = z.array(Bytes).min(1).max(MESSAGES_PER_FRAME_MAX)

export const encodeMessage = (message: LeaseMessage): Uint8Array =>
  encodeCanonical(isSigned(message) ? { t: message.t, m: pack(message.m) } : message)

/** Takes encoded messages off the front of `queue`, as many as fit into one frame. */
export function takeFrame(queue: Uint8Array[]): Uint8Array {
  let count = 0
  let bytes = 0
  for (const message of queue) {
    if (count === MESSAGES_PER_FRAME_MAX || (count > 0 && bytes + message.byteLength > MESSAGE_BYTES_MAX)) break
    count += 1
    bytes += message.byteLength
  }
  return encodeCanonical(queue.splice(0, count))
}

/**
 * The messages of a frame, but for those whose name is not known: a later release may have them. Signatures are not
 * checked yet.
 * @throws MalformedError
 */
export function decodeFrame(signatures: Signatures, frame: Uint8Array): LeaseMessage[] {
  return decodeCanonical(Frame, frame, FRAME_BYTES_MAX).flatMap((bytes) => decodeMessage(signatures, bytes) ?? [])
}

function decodeMessage(signatures: Signatures, bytes: Uint8Array): LeaseMessage | undefined {
  const outer = decodeCanonical(Outer, bytes, MESSAGE_BYTES_MAX)
  if (!outer || !isSigned(outer)) return outer
  const { t } = outer
  const m = signatures.unpack(t === 'proof' ? 'grant' : t, SIGNED[t], outer.m, MESSAGE_BYTES_MAX)
  // The name and the schema come from one row of the table, which the compiler cannot see.
  return { t, m } as SignedMessage
}

const isSigned = <M extends { readonly t: string }>(message: M): message is Extract<M, { t: SignedName }> =>
  message.t in SIGNED

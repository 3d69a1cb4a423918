import { z } from 'zod'
import { domainError, type DomainError, type DomainErrorCode } from '../crdt/errors.ts'
import { MeshId, PeerId } from '../crdt/ids.ts'
import { type Crypto, Hash, Signature, type Signer, signingBytes } from './crypto.ts'
import { BoxKey, inviteProofBytes, MemberName, RECORD_BYTES_MAX } from './membership/records.ts'
import type { Ticket } from './ticket.ts'

/*
 * Admission of a new node. Inviter: hello. Joiner: request. Inviter: answer. A refusal for load may come instead of the
 * hello. Afterwards the joiner, now a member, fetches the membership log.
 */

export const JOIN_PROTOCOL = '/rookery/join/1'
/** The largest join frame is below 1 kB; strangers get no more room than that needs. */
export const JOIN_FRAME_BYTES_MAX = 16 * 1024
export const JOIN_DEADLINE_MS = 10_000

export const JOIN_LOG_PROTOCOL = '/rookery/join-log/1'
/** A frame is closed when it passes this; one record more may follow it. */
export const JOIN_LOG_BATCH_BYTES = 64 * 1024
export const JOIN_LOG_FRAME_BYTES_MAX = JOIN_LOG_BATCH_BYTES + RECORD_BYTES_MAX + 1024
export const JOIN_LOG_DEADLINE_MS = 60_000

/** Why a joiner was refused. */
export const JOIN_REFUSALS = [
  'used',
  'expired',
  'withdrawn',
  'unknown',
  'other_mesh',
  'removed_key',
  'known_key',
  'rate_limited',
  'malformed',
  'storage_failed',
] as const
export type JoinRefusal = (typeof JOIN_REFUSALS)[number]

const Refusal = z.strictObject({
  v: z.literal(1),
  type: z.literal('refused'),
  why: z.enum(JOIN_REFUSALS),
  retryAfterMs: z.int().min(0).max(3_600_000).optional(),
})
export const JoinHello = z.discriminatedUnion('type', [
  z.strictObject({ v: z.literal(1), type: z.literal('hello'), nonce: Hash }),
  Refusal,
])
export const JoinAnswer = z.discriminatedUnion('type', [
  z.strictObject({ v: z.literal(1), type: z.literal('admitted') }),
  Refusal,
])
export type JoinAnswer = z.infer<typeof JoinAnswer>

export const JoinRequest = z.strictObject({
  v: z.literal(1),
  type: z.literal('request'),
  mesh: MeshId,
  peer: PeerId,
  name: MemberName,
  boxKey: BoxKey,
  nonce: Hash,
  invite: Hash,
  /** By the invite key; ends up in the admission, where every replica verifies it. */
  proof: Signature,
  /** By the joiner's node key over the whole transcript. */
  sig: Signature,
})
export type JoinRequest = z.infer<typeof JoinRequest>

export const JoinLogFrame = z.strictObject({
  v: z.literal(1),
  /** Membership records, parents first. */
  records: z.array(z.instanceof(Uint8Array)).max(1024),
  isLast: z.boolean(),
})
export const JOIN_LOG_RECORDS_PER_FRAME = 1024

/** The joiner's side of the handshake: binds both keys to this inviter and this nonce. */
export function signJoinRequest(
  crypto: Crypto,
  keys: { node: Signer; invite: Pick<Signer, 'sign'> },
  ticket: Ticket,
  self: { name: string; boxKey: Uint8Array; nonce: Uint8Array },
): JoinRequest {
  const { mesh, invite, inviter } = ticket
  const { peer } = keys.node
  const proof = keys.invite.sign(inviteProofBytes(crypto, { mesh, peer, boxKey: self.boxKey, invite }))
  const body = { v: 1, type: 'request', mesh, peer, ...self, invite, proof }
  return JoinRequest.parse({ ...body, sig: keys.node.sign(transcriptBytes(crypto, inviter, body)) })
}

/** Whether the request was made for this inviter and nonce by the peer at the other end of the connection. */
export function isJoinRequestFrom(
  crypto: Crypto,
  request: JoinRequest,
  expected: { peer: PeerId; inviter: PeerId; nonce: Uint8Array },
): boolean {
  const { sig, ...body } = request
  const signed = transcriptBytes(crypto, expected.inviter, { ...body, nonce: expected.nonce })
  return request.peer === expected.peer && crypto.verify(request.peer, signed, sig)
}

/** The joiner's words for a refusal. */
export function joinError(why: JoinRefusal, retryAfterMs?: number): DomainError {
  const { code, message } = JOIN_ERRORS[why]
  const details = retryAfterMs === undefined ? undefined : { retryAfterMs }
  return domainError(code, { ...(message && { message }), ...(details && { details }) })
}

const NOT_ACCEPTED = { code: 'ticket_invalid', message: 'The inviter does not accept this ticket.' } as const
const JOIN_ERRORS: Readonly<Record<JoinRefusal, { readonly code: DomainErrorCode; readonly message?: string }>> = {
  used: { code: 'ticket_used' },
  expired: { code: 'ticket_expired' },
  withdrawn: {
    code: 'ticket_invalid',
    message: 'This ticket was withdrawn. Ask for a new one (`rookery invite`).',
  },
  unknown: NOT_ACCEPTED,
  malformed: NOT_ACCEPTED,
  other_mesh: { code: 'ticket_other_mesh' },
  removed_key: {
    code: 'forbidden',
    message: 'This node was removed from the mesh and its key cannot come back. Use a new --data-dir.',
  },
  known_key: {
    code: 'forbidden',
    message:
      'This node is a member already, by another ticket. Use that one again if it never answered. A node that has lost its store cannot come back under its key, since it would use numbers twice: use a new --data-dir.',
  },
  rate_limited: { code: 'rate_limited' },
  storage_failed: {
    code: 'inviter_unreachable',
    message: 'The inviter could not write the admission to its disk.',
  },
}

function transcriptBytes(crypto: Crypto, inviter: PeerId, body: object): Uint8Array {
  return signingBytes(crypto, 'rookery/join/1', { ...body, inviter })
}

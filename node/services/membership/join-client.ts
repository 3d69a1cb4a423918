import { domainError, type DomainError } from '../../../crdt/errors.ts'
import type { MeshId, PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { decodeCanonical, encodeCanonical, equalBytes, MalformedError } from '../../../protocols/codec.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import {
  JOIN_DEADLINE_MS,
  JOIN_FRAME_BYTES_MAX,
  JOIN_LOG_DEADLINE_MS,
  JOIN_LOG_FRAME_BYTES_MAX,
  JOIN_LOG_PROTOCOL,
  JOIN_PROTOCOL,
  JoinAnswer,
  joinError,
  JoinHello,
  JoinLogFrame,
  signJoinRequest,
} from '../../../protocols/join.ts'
import { resolve } from '../../../protocols/membership/resolver.ts'
import type { Ticket } from '../../../protocols/ticket.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'
import { createFrameReader, withDeadline } from './channel-dialogue.ts'
import { RECORDS_MAX } from './membership-intake.ts'
import { verifyLog } from './membership-service.ts'

/** More than any honest log, far less than a laptop's memory. */
const LOG_BYTES_MAX = 64 * 1024 * 1024

export type JoinDeps = {
  /** Of the ticket's mesh, and able to reach the inviter: dialling the ticket's addresses is the caller's business. */
  readonly network: Pick<PeerNetwork, 'open'>
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly log: Log
  /** The key pair of an Ed25519 seed. */
  readonly keyFromSeed: (seed: Uint8Array) => Pick<Signer, 'sign'>
  readonly self: { readonly name: string; readonly boxKey: Uint8Array }
}

export type JoinedMesh = { readonly mesh: MeshId; readonly records: readonly Uint8Array[] }

/**
 * Has this node admitted with a ticket and fetches the membership log, verified back to the genesis in the ticket and
 * to our own admission. Stores nothing: `adoptMesh` does. May be repeated with the same ticket when an answer was lost.
 * @errors ticket_used, ticket_expired, ticket_invalid, ticket_other_mesh, forbidden (our key was removed),
 * rate_limited, inviter_unreachable, limit_reached, cancelled
 */
export async function joinMesh(deps: JoinDeps, ticket: Ticket, signal: AbortSignal): Promise<Result<JoinedMesh>> {
  const asked = await converse(deps, { ticket, protocol: JOIN_PROTOCOL, deadlineMs: JOIN_DEADLINE_MS, signal }, (c) =>
    askAdmission(deps, ticket, c),
  )
  if (!asked.ok) return asked
  const fetched = await converse(
    deps,
    { ticket, protocol: JOIN_LOG_PROTOCOL, deadlineMs: JOIN_LOG_DEADLINE_MS, signal },
    fetchLog,
  )
  return fetched.ok ? verifyMembership(deps, ticket, fetched.value) : fetched
}

type Conversation = {
  readonly ticket: Ticket
  readonly protocol: string
  readonly deadlineMs: number
  readonly signal: AbortSignal
}

/** A channel to the inviter; whatever goes wrong on the way becomes a refusal a person can act on. */
async function converse<T>(
  { network, clock, log }: JoinDeps,
  { ticket: { inviter }, protocol, deadlineMs, signal }: Conversation,
  talk: (channel: Channel) => Promise<Result<T>>,
): Promise<Result<T>> {
  try {
    const channel = await network.open(inviter, protocol, signal)
    try {
      return await withDeadline({ clock, channel, deadlineMs, signal }, () => talk(channel))
    } finally {
      await channel.close()
    }
  } catch (error) {
    if (signal.aborted) return err(domainError('cancelled'))
    log.info({ err: error, inviter, protocol }, 'the inviter could not be asked')
    return err(error instanceof MalformedError ? notUnderstood() : domainError('inviter_unreachable'))
  }
}

async function askAdmission(deps: JoinDeps, ticket: Ticket, channel: Channel): Promise<Result<null>> {
  const frames = createFrameReader(channel)
  const hello = decodeCanonical(JoinHello, await frames.next(), JOIN_FRAME_BYTES_MAX)
  if (hello.type === 'refused') return err(joinError(hello.why, hello.retryAfterMs))
  const inviteKey = deps.keyFromSeed(ticket.inviteSeed)
  const self = { ...deps.self, nonce: hello.nonce }
  const request = signJoinRequest(deps.crypto, { node: deps.signer, invite: inviteKey }, ticket, self)
  await channel.send(encodeCanonical(request))
  const answer = decodeCanonical(JoinAnswer, await frames.next(), JOIN_FRAME_BYTES_MAX)
  return answer.type === 'refused' ? err(joinError(answer.why, answer.retryAfterMs)) : ok(null)
}

async function fetchLog(channel: Channel): Promise<Result<readonly Uint8Array[]>> {
  const records: Uint8Array[] = []
  let bytes = 0
  for await (const frame of channel.frames) {
    const { records: batch, isLast } = decodeCanonical(JoinLogFrame, frame, JOIN_LOG_FRAME_BYTES_MAX)
    records.push(...batch)
    bytes += frame.byteLength
    if (records.length > RECORDS_MAX || bytes > LOG_BYTES_MAX) return err(domainError('limit_reached'))
    if (isLast) return ok(records)
  }
  throw new Error('the log ended early')
}

function verifyMembership(
  { crypto, signer, self }: JoinDeps,
  ticket: Ticket,
  records: readonly Uint8Array[],
): Result<JoinedMesh> {
  const log = verifyLog(crypto, records, ticket.mesh)
  if (!log.ok) return log
  const { members } = resolve(log.value).membership
  if (!isOurs(members.get(signer.peer), self.boxKey)) return err(notAdmitted(signer.peer))
  return ok({ mesh: ticket.mesh, records: log.value.nodes.map(({ record }) => record.bytes) })
}

/** What is sealed to the mesh's idea of our box key must be readable here. */
const isOurs = (member: { boxKey: Uint8Array } | undefined, boxKey: Uint8Array): boolean =>
  member !== undefined && equalBytes(member.boxKey, boxKey)

const notAdmitted = (peer: PeerId): DomainError =>
  domainError('ticket_invalid', {
    message: `The log of the mesh does not have ${peer} as a member with this box key. Use a new --data-dir.`,
  })

const notUnderstood = (): DomainError =>
  domainError('inviter_unreachable', { message: 'The inviter answers in a way this release does not understand.' })

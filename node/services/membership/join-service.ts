import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { decodeCanonical, encodeCanonical, MalformedError, toHex } from '../../../protocols/codec.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import {
  isJoinRequestFrom,
  JOIN_DEADLINE_MS,
  JOIN_FRAME_BYTES_MAX,
  JOIN_LOG_BATCH_BYTES,
  JOIN_LOG_DEADLINE_MS,
  JOIN_LOG_FRAME_BYTES_MAX,
  JOIN_LOG_PROTOCOL,
  JOIN_LOG_RECORDS_PER_FRAME,
  JOIN_PROTOCOL,
  type JoinRefusal,
  JoinRequest,
} from '../../../protocols/join.ts'
import {
  type Draft,
  inviteProofBytes,
  MEMBER_NAME_CHARS_MAX,
  sortedCapabilities,
} from '../../../protocols/membership/records.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import { createFrameReader, withDeadline } from './channel-dialogue.ts'
import type { AuthoringView, MembershipService } from './membership-service.ts'
import { createRateLimiter } from '../rate-limit.ts'

/** One node retries a few times; guessing 256-bit keys gets nowhere, so all of these only bound the work. */
const PER_PEER = { count: 10, perMs: 60_000, keysMax: 1024 }
/** A rack of machines behind one address may join together. */
const PER_ADDRESS = { count: 60, perMs: 60_000, keysMax: 1024 }
/** Three signatures each: a fraction of a percent of a core. */
const GLOBAL = { count: 240, perMs: 60_000, keysMax: 1 }
/** Strangers that are in the middle of the handshake at once. */
export const JOINS_AT_ONCE_MAX = 32

export type JoinServiceDeps = {
  readonly network: Pick<PeerNetwork, 'self' | 'handle'>
  readonly membership: Pick<MembershipService, 'mesh' | 'author' | 'all'>
  readonly crypto: Crypto
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Where the connection comes from (host only, without the port), if that is known: peer ids cost nothing to make. */
  readonly addressOf: (peer: PeerId) => string | undefined
}

/**
 * Serves admission to strangers and the membership log to members. Of any number of parallel uses of one ticket exactly
 * one succeeds; a joiner that lost our answer gets the same one again.
 */
export function serveJoins(deps: JoinServiceDeps): void {
  const { network, clock } = deps
  const perPeer = createRateLimiter(clock, PER_PEER)
  const perAddress = createRateLimiter(clock, PER_ADDRESS)
  const global = createRateLimiter(clock, GLOBAL)
  let underWay = 0
  const delayFor = (peer: PeerId): number | undefined => {
    const address = deps.addressOf(peer)
    // The global bucket comes last, so that one source cannot use it up.
    return (address === undefined ? undefined : perAddress.take(address)) ?? perPeer.take(peer) ?? global.take('')
  }
  network.handle(
    JOIN_PROTOCOL,
    { policy: { who: 'anyone' }, frameBytesMax: JOIN_FRAME_BYTES_MAX, channelsPerPeerMax: 1 },
    async (channel) => {
      const retryAfterMs = underWay >= JOINS_AT_ONCE_MAX ? 1000 : delayFor(channel.peer)
      if (retryAfterMs !== undefined) return await refuse(channel, 'rate_limited', retryAfterMs)
      underWay++
      try {
        await withDeadline({ clock, channel, deadlineMs: JOIN_DEADLINE_MS }, () => admit(deps, channel))
      } finally {
        underWay--
      }
    },
  )
  network.handle(
    JOIN_LOG_PROTOCOL,
    { policy: { who: 'member' }, frameBytesMax: JOIN_LOG_FRAME_BYTES_MAX, channelsPerPeerMax: 1 },
    (channel) => withDeadline({ clock, channel, deadlineMs: JOIN_LOG_DEADLINE_MS }, () => sendLog(deps, channel)),
  )
}

async function admit(deps: JoinServiceDeps, channel: Channel): Promise<void> {
  const { crypto, network, membership, log } = deps
  const nonce = deps.random.bytes(32).slice()
  await channel.send(encodeCanonical({ v: 1, type: 'hello', nonce }))
  const request = parseRequest(await createFrameReader(channel).next())
  const expected = { peer: channel.peer, inviter: network.self, nonce }
  const problem = request && (request.mesh === membership.mesh ? undefined : 'other_mesh')
  if (!request || problem) return await refuse(channel, problem ?? 'malformed')
  if (!isJoinRequestFrom(crypto, request, expected)) return await refuse(channel, 'malformed')
  let refusal: JoinRefusal | undefined
  const authored = await membership.author((view) => {
    const decided = decideAdmission(crypto, network.self, request, view)
    if (decided.ok) return decided
    refusal = decided.error
    return ok(undefined)
  })
  if (!authored.ok) refusal = authored.error.code === 'forbidden' ? 'withdrawn' : 'storage_failed'
  if (refusal) {
    log.info({ peer: channel.peer, why: refusal }, 'refused a joining node')
    return await refuse(channel, refusal)
  }
  log.info({ peer: channel.peer, name: request.name }, 'admitted a node')
  await channel.send(encodeCanonical({ v: 1, type: 'admitted' }))
}

/** The admission to append, nothing for one that is a member already, or why not. */
export function decideAdmission(
  crypto: Crypto,
  self: PeerId,
  request: JoinRequest,
  { resolution, nowMs }: AuthoringView,
): Result<Draft | undefined, JoinRefusal> {
  const { mesh, peer, name, boxKey, invite, proof } = request
  const state = resolution.invite(toHex(invite))
  if (state.is === 'unknown') return err('unknown')
  const inviteKey = state.is === 'open' ? state.invite.inviteKey : state.inviteKey
  // Only the holder of the ticket learns what became of it.
  if (!crypto.verifyRaw(inviteKey, inviteProofBytes(crypto, { mesh, peer, boxKey, invite }), proof))
    return err('unknown')
  if (resolution.membership.removed.has(peer)) return err('removed_key')
  // A joiner that lost our answer. With another ticket it may have lost its store: its next envelopes would be forgeries.
  if (state.is === 'used' && state.by === peer) return ok(undefined)
  if (resolution.membership.members.has(peer)) return err('known_key')
  if (state.is !== 'open') return err(state.is)
  // Another member's invite is for that member to honour.
  if (state.invite.inviter !== self) return err('unknown')
  if (state.invite.expiresAtMs < nowMs) return err('expired')
  const capabilities = sortedCapabilities(state.invite.capabilities)
  const free = freeName(name, new Set([...resolution.membership.members.values()].map((member) => member.name)))
  return ok({ type: 'admit', peer, name: free, boxKey, capabilities, invite, proof })
}

/** Clones and containers share a host name: here the second becomes `name-2`, so that a name means one machine. */
function freeName(wanted: string, taken: ReadonlySet<string>): string {
  for (let name = wanted, n = 2; ; n++) {
    if (!taken.has(name)) return name
    const suffix = `-${n}`
    const beginning = wanted.slice(0, MEMBER_NAME_CHARS_MAX - suffix.length)
    name = `${beginning.toWellFormed().trimEnd()}${suffix}`
  }
}

async function sendLog({ membership }: JoinServiceDeps, channel: Channel): Promise<void> {
  const records = membership.all()
  let batch: Uint8Array[] = []
  let bytes = 0
  for (const record of records) {
    batch.push(record)
    bytes += record.byteLength
    if (bytes < JOIN_LOG_BATCH_BYTES && batch.length < JOIN_LOG_RECORDS_PER_FRAME) continue
    await channel.send(encodeCanonical({ v: 1, records: batch, isLast: false }))
    batch = []
    bytes = 0
  }
  await channel.send(encodeCanonical({ v: 1, records: batch, isLast: true }))
}

async function refuse(channel: Channel, why: JoinRefusal, retryAfterMs?: number): Promise<void> {
  await channel.send(encodeCanonical({ v: 1, type: 'refused', why, retryAfterMs }))
}

function parseRequest(frame: Uint8Array): JoinRequest | undefined {
  try {
    return decodeCanonical(JoinRequest, frame, JOIN_FRAME_BYTES_MAX)
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

import { multiaddr } from '@multiformats/multiaddr'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import {
  isJoinRequestFrom,
  JOIN_FRAME_BYTES_MAX,
  JOIN_LOG_FRAME_BYTES_MAX,
  JoinAnswer,
  JoinHello,
  JoinLogFrame,
  JoinRequest,
  signJoinRequest,
} from '../../../protocols/join.ts'
import { formatTicket, parseTicket, type Ticket } from '../../../protocols/ticket.ts'
import { CommandFailure } from '../../../node/cli/exit.ts'
import { readLetter } from '../../../node/cli/pairing-client.ts'
import { bodyOf } from '../../../node/cli/pairing-link.ts'
import { FrameParser, FrameTooLargeError, encodeFrame } from '../../../node/p2p/framing.ts'
import { lanAnswer, lanQuestion, readLanPacket } from '../../../node/p2p/lan-packets.ts'
import { crypto, identity } from '../../support/identity.ts'
import { createHistory } from '../../unit/protocols/membership/history.ts'
import { bytesOf, jsonOf, never, textOf, type Target } from '../target.ts'

const [inviter, joiner, inviteKey] = [identity(0), identity(1), identity(2)]
const LAN_TAG = '_rookery-0123456789abcdef._udp.local'
const nonce = new Uint8Array(32).fill(3)
const boxKey = new Uint8Array(32).fill(4)
const h = createHistory()

const ticket: Ticket = {
  mesh: h.genesis.mesh,
  inviter: inviter.peer,
  addresses: ['/ip4/192.168.1.7/tcp/4001', '/ip6/::1/tcp/4001'],
  inviteSeed: new Uint8Array(32).fill(5),
  invite: new Uint8Array(32).fill(6),
  expiresAtMs: 2_000_000_000_000,
  capabilities: ['control', 'run'],
}
const request = signJoinRequest(crypto, { node: joiner, invite: inviteKey }, ticket, { name: 'beta', boxKey, nonce })
const isMalformed = (error: unknown): boolean => error instanceof MalformedError

function readFrames(bytes: Uint8Array): number {
  const parser = new FrameParser(JOIN_FRAME_BYTES_MAX)
  let frames = 0
  // In pieces, as they come.
  for (let at = 0; at < bytes.length; at += 700) frames += [...parser.push(bytes.subarray(at, at + 700))].length
  return frames
}

/** With the checksum that makes it one line that was copied whole. */
function parseWhole(payload: Uint8Array): unknown {
  const sum = crypto.sha256(payload).subarray(0, 4)
  const text = `rook1${Buffer.concat([payload, sum]).toString('base64url')}`
  const parsed = parseTicket(crypto, text, 1_900_000_000_000)
  return parsed.ok ? parsed.value : undefined
}

/** What is decoded before anybody has proved to be a member, on either side. */
export const strangerTargets: readonly Target[] = [
  {
    name: 'packet of multicast DNS',
    reach: 'a stranger',
    sites: ['node/p2p/lan-packets.ts decode('],
    form: 'bytes',
    samples: [
      lanQuestion(LAN_TAG),
      lanAnswer(LAN_TAG, 'a', [multiaddr(`/ip4/192.168.1.7/tcp/4001/p2p/${inviter.peer}`)]),
    ],
    take: (bytes) => readLanPacket(Buffer.from(bytes), LAN_TAG),
    isRefusal: never,
  },
  {
    name: 'frames of a channel',
    reach: 'a stranger',
    sites: ['node/p2p/stream-channel.ts newFrameParser('],
    form: 'bytes',
    samples: [
      encodeFrame(encodeCanonical(request)),
      Buffer.concat([new Uint8Array([0, 0, 0, 1, 7]), encodeFrame(nonce)]),
    ],
    take: readFrames,
    isRefusal: (error) => error instanceof FrameTooLargeError,
  },
  {
    name: 'request to join',
    reach: 'a stranger',
    sites: ['node/services/membership/join-service.ts decodeCanonical(JoinRequest'],
    form: 'cbor',
    samples: [encodeCanonical(request)],
    take(bytes) {
      const parsed = decodeCanonical(JoinRequest, bytes, JOIN_FRAME_BYTES_MAX)
      return isJoinRequestFrom(crypto, parsed, { peer: joiner.peer, inviter: inviter.peer, nonce })
    },
    isRefusal: isMalformed,
  },
  {
    name: 'ticket',
    reach: 'an inviter',
    sites: ['protocols/ticket.ts decodeCanonical(Wire'],
    form: 'cbor',
    samples: [Buffer.from(formatTicket(crypto, ticket).slice(5), 'base64url').subarray(0, -4)],
    take: parseWhole,
    isRefusal: never,
  },
  {
    name: 'line of a ticket',
    reach: 'an inviter',
    sites: [],
    form: 'bytes',
    samples: [bytesOf(formatTicket(crypto, ticket))],
    take(bytes) {
      const parsed = parseTicket(crypto, textOf(bytes), 1_900_000_000_000)
      return parsed.ok ? parsed.value : undefined
    },
    isRefusal: never,
  },
  {
    name: 'greeting of an inviter',
    reach: 'an inviter',
    sites: ['node/services/membership/join-client.ts decodeCanonical(JoinHello'],
    form: 'cbor',
    samples: [
      encodeCanonical({ v: 1, type: 'hello', nonce }),
      encodeCanonical({ v: 1, type: 'refused', why: 'rate_limited', retryAfterMs: 1000 }),
    ],
    take: (bytes) => decodeCanonical(JoinHello, bytes, JOIN_FRAME_BYTES_MAX),
    isRefusal: isMalformed,
  },
  {
    name: 'answer of an inviter',
    reach: 'an inviter',
    sites: ['node/services/membership/join-client.ts decodeCanonical(JoinAnswer'],
    form: 'cbor',
    samples: [encodeCanonical({ v: 1, type: 'admitted' }), encodeCanonical({ v: 1, type: 'refused', why: 'used' })],
    take: (bytes) => decodeCanonical(JoinAnswer, bytes, JOIN_FRAME_BYTES_MAX),
    isRefusal: isMalformed,
  },
  {
    name: 'log that an inviter sends',
    reach: 'an inviter',
    sites: ['node/services/membership/join-client.ts decodeCanonical(JoinLogFrame'],
    form: 'cbor',
    samples: [encodeCanonical({ v: 1, records: [h.genesis.bytes], isLast: true })],
    take: (bytes) => decodeCanonical(JoinLogFrame, bytes, JOIN_LOG_FRAME_BYTES_MAX),
    isRefusal: isMalformed,
  },
  {
    name: 'answer of a gateway to a machine that is paired',
    reach: 'a stranger',
    sites: ['node/cli/pairing-link.ts JSON.parse(', 'node/cli/pairing-client.ts JSON.parse('],
    form: 'json',
    samples: [jsonOf({ ticket: 'rookery-ticket', name: 'beta' })],
    take: (bytes) => (bodyOf(textOf(bytes)) === undefined ? undefined : readLetter(bytes)),
    isRefusal: (error) => error instanceof CommandFailure,
  },
]

import type { Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { SessionId } from '../../../crdt/ids.ts'
import { encodeIntroduction, readIntroduction } from '../../../node/p2p/introduction.ts'
import { encodeAddresses, readAddresses } from '../../../node/p2p/reachability.ts'
import type { Channel } from '../../../node/ports/peer-network.ts'
import { packed } from '../../../node/services/mcp/mcp-target.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import { parseRecord } from '../../../protocols/membership/records.ts'
import { decodeHeartbeat, signHeartbeat, verifyHeartbeat } from '../../../protocols/presence.ts'
import { checkQuestion, decodeAnswer, encodeAnswer, encodeQuestion } from '../../../protocols/restored.ts'
import { decodeFromCaller, decodeReply, encodeRpc, errorFromWire } from '../../../protocols/rpc.ts'
import {
  decodeHostFrame,
  decodeViewerFrame,
  encodeHostFrame,
  encodeViewerFrame,
  PtyAnswer,
  PtyOpen,
  STREAM_FRAME_BYTES_MAX,
} from '../../../protocols/session-stream.ts'
import { decodeSync, encodeSync, vectorParts, VectorsReader } from '../../../protocols/sync.ts'
import { crypto, identity } from '../../support/identity.ts'
import { PROJECT } from '../../support/replicas.ts'
import { z } from 'zod'
import { ALL, createHistory, firstConfig } from '../../unit/protocols/membership/history.ts'
import { jsonOf, never, textOf, type Target } from '../target.ts'

const isMalformed = (error: unknown): boolean => error instanceof MalformedError
const { peer } = identity(1)
const hash = new Uint8Array(32).fill(1)
const session = SessionId.parse('00000000-0000-4000-8000-000000000001')
const actor: Actor = { kind: 'user', id: 'u1', tokenId: 't1', abilities: ['*'], gateway: peer }

/** One record of every kind that can be made without a voter. */
function recordSamples(): Uint8Array[] {
  const h = createHistory()
  h.say(0, [h.genesis], firstConfig(h, 0, 'f'.repeat(32)))
  const one = h.join(0, [h.genesis], 1, [...ALL])
  const invite = h.invite(1, [one], ['run'])
  h.revoke(0, [invite], invite)
  h.grant(0, [one], 1, ['run'])
  h.remove(0, [one], 1, 3)
  const key = h.recoveryKey(0, [one], 9)
  h.recover(1, [key], key)
  h.seal(0, [one], 3)
  h.force(0, [one], 4)
  return h.records.map(({ bytes }) => bytes)
}

const heartbeat = signHeartbeat(crypto, identity(1), {
  v: 1,
  mesh: createHistory().genesis.mesh,
  peer,
  boot: 1,
  counter: 2,
  at: 1_800_000_000_000,
  kind: 'beat',
  leases: [],
  load: { sessions: 2 },
})

const vectors = new Map([[PROJECT, new Map([[peer, { seq: 7, hash }]])]])
const syncSamples = [
  encodeSync({ t: 'hello', versions: [1] }),
  encodeSync({ t: 'heads', heads: [hash] }),
  encodeSync({ t: 'records', records: [hash], last: true }),
  ...vectorParts(vectors, [peer], true).map(encodeSync),
  encodeSync({ t: 'envelopes', envelopes: [hash], more: false }),
  encodeSync({ t: 'hash', doc: PROJECT, at: [[peer, 7]], hash }),
  encodeSync({ t: 'beat', beat: heartbeat }),
  encodeSync({ t: 'echo', boot: 1, counter: 2 }),
  encodeSync({ t: 'peers', peers: [[peer, ['/ip4/192.168.1.7/tcp/4001']]] }),
]

function takeSync(bytes: Uint8Array): unknown {
  const message = decodeSync(bytes)
  return message?.t === 'vectors' ? (new VectorsReader().push(message) ?? 'a part') : message
}

/** A channel on which this one frame comes. */
const channelWith = (frame: Uint8Array): Channel => ({
  peer,
  send: async () => undefined,
  frames: {
    async *[Symbol.asyncIterator]() {
      yield frame
    },
  },
  close: async () => undefined,
  abort: () => undefined,
})

export const memberTargets: readonly Target[] = [
  {
    name: 'introduction',
    reach: 'a member',
    sites: ['node/p2p/introduction.ts decodeCanonical(Introduction'],
    form: 'cbor',
    samples: [
      encodeIntroduction(
        {
          agent: 'rookery/1',
          addresses: ['/ip4/192.168.1.7/tcp/4001'],
          observed: '/ip4/203.0.113.9/tcp/50123',
          protocols: ['/libp2p/circuit/relay/0.2.0/hop'],
        },
        [[identity(1).peer, ['/ip4/192.168.1.8/tcp/4001']]],
      ),
    ],
    take: (bytes) => readIntroduction(channelWith(bytes)),
    isRefusal: isMalformed,
  },
  {
    name: 'addresses to be dialled back',
    reach: 'a member',
    sites: ['node/p2p/reachability.ts decodeCanonical(Addresses'],
    form: 'cbor',
    samples: [encodeAddresses(['/ip4/203.0.113.9/tcp/4001']), encodeAddresses([])],
    take: (bytes) => readAddresses(channelWith(bytes)),
    isRefusal: isMalformed,
  },
  {
    name: 'question of a restored node',
    reach: 'a member',
    sites: ['protocols/restored.ts decodeCanonical(Question'],
    form: 'cbor',
    samples: [encodeQuestion()],
    take(bytes) {
      checkQuestion(bytes)
      return 'a question'
    },
    isRefusal: isMalformed,
  },
  {
    name: 'answer to a restored node',
    reach: 'a member',
    sites: ['protocols/restored.ts decodeCanonical(Part'],
    form: 'cbor',
    samples: encodeAnswer({ heads: new Map([[PROJECT, { seq: 3, hash }]]), members: [peer], beats: [hash] }),
    take: (bytes) => decodeAnswer(channelWith(bytes).frames),
    isRefusal: isMalformed,
  },
  {
    name: 'message of synchronisation',
    reach: 'a member',
    sites: ['protocols/sync.ts decodeCanonical(Envelope'],
    form: 'cbor',
    samples: syncSamples,
    take: takeSync,
    isRefusal: isMalformed,
  },
  {
    name: 'membership record',
    reach: 'a member',
    sites: ['protocols/membership/records.ts decodeCanonical(AnyRecord', 'protocols/cbor-read.ts decode('],
    form: 'cbor',
    samples: recordSamples(),
    take(bytes) {
      const parsed = parseRecord(crypto, bytes)
      return parsed.ok ? parsed.value : undefined
    },
    isRefusal: () => false,
  },
  {
    name: 'heartbeat',
    reach: 'a member',
    sites: ['protocols/presence.ts decodeCanonical(Heartbeat'],
    form: 'cbor',
    samples: [heartbeat],
    take: (bytes) => verifyHeartbeat(crypto, decodeHeartbeat(bytes)),
    isRefusal: isMalformed,
  },
  {
    name: 'request to a machine',
    reach: 'a member',
    sites: ['protocols/rpc.ts decodeCanonical(FromCaller'],
    form: 'cbor',
    samples: [
      encodeRpc({
        v: 1,
        id: 4,
        method: 'session.create',
        actor,
        input: { mode: 'headless', ptySize: { cols: 80, rows: 24 } },
      }),
      encodeRpc({ v: 1, cancel: 4 }),
    ],
    take: decodeFromCaller,
    isRefusal: isMalformed,
  },
  {
    name: 'answer of a machine',
    reach: 'a member',
    sites: ['protocols/rpc.ts decodeCanonical(Reply'],
    form: 'cbor',
    samples: [
      encodeRpc({ v: 1, id: 4, ok: true, value: { session: null } }),
      encodeRpc({ v: 1, id: 4, ok: false, error: domainError('rate_limited', { details: { retryAfterMs: 5 } }) }),
    ],
    take(bytes) {
      const reply = decodeReply(bytes)
      return reply.ok ? reply : errorFromWire(reply.error)
    },
    isRefusal: isMalformed,
  },
  {
    name: 'opening of a terminal',
    reach: 'a member',
    sites: ['node/services/sessions/session-attach.ts decodeCanonical(PtyOpen'],
    form: 'cbor',
    samples: [encodeCanonical({ v: 1, session, actor })],
    take: (bytes) => decodeCanonical(PtyOpen, bytes, STREAM_FRAME_BYTES_MAX),
    isRefusal: isMalformed,
  },
  {
    name: 'answer to the opening of a terminal',
    reach: 'a member',
    sites: ['node/services/sessions/session-attach.ts decodeCanonical(PtyAnswer'],
    form: 'cbor',
    samples: [
      encodeCanonical({ v: 1, refused: null }),
      encodeCanonical({ v: 1, refused: { code: 'session_ended', message: 'It has ended.' } }),
    ],
    take: (bytes) => decodeCanonical(PtyAnswer, bytes, STREAM_FRAME_BYTES_MAX),
    isRefusal: isMalformed,
  },
  {
    name: 'what a viewer of a terminal says',
    reach: 'a member',
    sites: ['protocols/session-stream.ts decodeCanonical(ViewerControl'],
    form: 'bytes',
    samples: [
      encodeViewerFrame({ type: 'attach', fromSeq: 10 }),
      encodeViewerFrame({ type: 'resize', id: 1, size: { cols: 80, rows: 24 } }),
      encodeViewerFrame({ type: 'ack', seq: 2 ** 33 }),
      encodeViewerFrame({ type: 'input', id: 2, bytes: hash }),
    ],
    take: decodeViewerFrame,
    isRefusal: isMalformed,
  },
  {
    name: 'what a terminal says',
    reach: 'a member',
    sites: ['protocols/session-stream.ts decodeCanonical(HostControl'],
    form: 'bytes',
    samples: [
      encodeHostFrame({ type: 'output', seq: 2 ** 33, bytes: hash }),
      encodeHostFrame({ type: 'gap', from: 1, to: 5 }),
      encodeHostFrame({ type: 'exit', exitCode: 1, signal: null }),
    ],
    take: decodeHostFrame,
    isRefusal: isMalformed,
  },
  {
    name: 'arguments for a tool of an MCP server',
    reach: 'a member',
    sites: ['node/services/mcp/mcp-target.ts JSON.parse('],
    form: 'json',
    samples: [jsonOf({ path: '/tmp', deep: [{ a: null }] })],
    take: (bytes) => packed(z.record(z.string(), z.unknown())).safeParse(textOf(bytes)).success || undefined,
    isRefusal: never,
  },
]

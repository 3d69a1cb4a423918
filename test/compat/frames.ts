import { meshDoc, type MeshId, type PeerId } from '../../crdt/ids.ts'
import { encodeRpc, RPC_VERSION } from '../../protocols/rpc.ts'
import { encodeAnswer, encodeQuestion } from '../../protocols/restored.ts'
import { encodeHostFrame, encodeViewerFrame } from '../../protocols/session-stream.ts'
import { encodeSync, type SyncMessage } from '../../protocols/sync.ts'
import { encodeMessage, type LeaseMessage, takeFrame } from '../../protocols/lease/frame.ts'
import { signHeartbeat } from '../../protocols/presence.ts'
import { crypto, identity } from '../support/identity.ts'

/** One frame of a protocol as it is on the wire, in hex. */
export type RecordedFrame = { readonly protocol: string; readonly name: string; readonly hex: string }

const MESH = 'ab'.repeat(32) as MeshId
const hash = new Uint8Array(32).fill(7)
const LEASE = '0f'.repeat(16)

const peer = (n: number): PeerId => identity(n).peer

/** What a node of this release says, one of each kind that can be made without another node. */
export function sampleFrames(): RecordedFrame[] {
  const frame = (protocol: string, name: string, bytes: Uint8Array): RecordedFrame => ({
    protocol,
    name,
    hex: Buffer.from(bytes).toString('hex'),
  })
  const beat = signHeartbeat(crypto, identity(0), {
    v: 1,
    mesh: MESH,
    peer: peer(0),
    boot: 3,
    counter: 9,
    at: 1_790_000_000_000,
    kind: 'beat',
    leases: [LEASE],
    load: { sessions: 1 },
  })
  const sync: SyncMessage[] = [
    { t: 'hello', versions: [1] },
    { t: 'heads', heads: [hash] },
    { t: 'records', records: [new Uint8Array([1, 2])], last: true },
    { t: 'vectors', authors: [peer(0)], docs: [[meshDoc, [[0, 5, hash]]]], frozen: [peer(1)], last: true, ask: false },
    { t: 'envelopes', envelopes: [new Uint8Array([3])], more: false },
    { t: 'hash', doc: meshDoc, at: [[peer(0), 5]], hash },
    { t: 'beat', beat },
    { t: 'echo', boot: 3, counter: 9 },
    { t: 'peers', peers: [[peer(1), ['/ip4/192.0.2.1/tcp/4001']]] },
  ]
  const lease: LeaseMessage[] = [
    { t: 'release', m: { lid: LEASE, after: { doc: meshDoc, author: peer(0), seq: 5 } } },
    { t: 'free', m: { lid: LEASE } },
    { t: 'ask', m: {} },
    { t: 'pull', m: { estate: hash, page: 0 } },
  ]
  const actor = { kind: 'local' as const, id: 'local', tokenId: `local:${peer(0)}`, abilities: ['*'], gateway: peer(0) }
  return [
    ...sync.map((message) => frame('sync', message.t, encodeSync(message))),
    ...lease.map((message) => frame('lease', message.t, takeFrame([encodeMessage(message)]))),
    frame('presence', 'beat', beat),
    frame('rpc', 'request', encodeRpc({ v: RPC_VERSION, id: 1, method: 'machine.environment', actor, input: {} })),
    frame('rpc', 'reply', encodeRpc({ v: RPC_VERSION, id: 1, ok: true, value: { a: 1 } })),
    frame('viewer', 'attach', encodeViewerFrame({ type: 'attach', fromSeq: 5 })),
    frame('viewer', 'input', encodeViewerFrame({ type: 'input', id: 1, bytes: new Uint8Array([97]) })),
    frame('viewer', 'ack', encodeViewerFrame({ type: 'ack', seq: 99 })),
    frame('host', 'output', encodeHostFrame({ type: 'output', seq: 5, bytes: new Uint8Array([98]) })),
    frame('host', 'exit', encodeHostFrame({ type: 'exit', exitCode: 0, signal: null })),
    frame('restored', 'question', encodeQuestion()),
    ...encodeAnswer({ heads: new Map([[meshDoc, { seq: 5, hash }]]), members: [peer(0), peer(1)], beats: [beat] }).map(
      (bytes) => frame('restored', 'answer', bytes),
    ),
  ]
}

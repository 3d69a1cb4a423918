import type * as Y from 'yjs'
import type { Actor } from '../../crdt/actor.ts'
import { machineDoc, projectDoc, ProjectId, type MeshId, type PeerId } from '../../crdt/ids.ts'
import { INTRODUCTION_PROTOCOL } from '../../node/p2p/introduction.ts'
import { encodeCanonical } from '../../protocols/codec.ts'
import { clientIdOf, type Envelope } from '../../protocols/feed/envelope.ts'
import { JOIN_LOG_PROTOCOL, JOIN_PROTOCOL } from '../../protocols/join.ts'
import { encodeMessage } from '../../protocols/lease/frame.ts'
import { LEASE_PROTOCOL } from '../../protocols/lease/messages.ts'
import { sealRecord, type Draft } from '../../protocols/membership/records.ts'
import { encodeRpc, RPC_PROTOCOL } from '../../protocols/rpc.ts'
import { PTY_PROTOCOL } from '../../protocols/session-stream.ts'
import { encodeSync, SYNC_PROTOCOL, vectorParts, type SyncMessage } from '../../protocols/sync.ts'
import { crypto, identity } from '../support/identity.ts'
import { requestOf } from '../support/lease-lab.ts'
import { Forger, setKey, updateBy } from '../support/replicas.ts'
import { ALL } from '../unit/protocols/membership/history.ts'
import type { HostileMember } from './member.ts'

export type Attack = {
  readonly name: string
  /** The abuse case of the threat model. */
  readonly id: string
  /** Once; repeated for as long as the attack goes on. */
  readonly strike: (by: HostileMember, at: PeerId) => Promise<unknown>
}

/** A document of its own: what waits there is in nobody's way. */
const ATTIC = projectDoc(ProjectId.parse('00000000-0000-4000-8000-00000000000a'))
const NONCE = new Uint8Array(16).fill(7)
const hash = new Uint8Array(32).fill(9)

const say = (by: HostileMember, at: PeerId, messages: readonly SyncMessage[]): Promise<boolean> =>
  by.shout(at, SYNC_PROTOCOL, messages.map(encodeSync))
const give = (by: HostileMember, at: PeerId, envelopes: readonly Uint8Array[]): Promise<boolean> =>
  say(by, at, envelopes.length > 0 ? [{ t: 'envelopes', envelopes: [...envelopes], more: false }] : [])

/** A new feed in the attic each time would be a fork: what it seals begins at a place that is never reached. */
function far({ n, mesh }: HostileMember, update: Uint8Array, change: object = {}): Envelope {
  const forger = new Forger(n)
  forger.seq = 100_000 + Math.floor(performance.now())
  return forger.seal(update, { mesh, doc: ATTIC, prev: hash, ...change })
}

const ownUpdate = ({ peer }: HostileMember): Uint8Array =>
  updateBy(clientIdOf(crypto, peer, ATTIC, NONCE), setKey('key', 'value'))

/** Header of an update by 200,000 clients with one struct each, of which none comes. */
const BOMB = Uint8Array.from([0xc0, 0x9a, 0x0c, ...Array.from({ length: 4000 }, (_, i) => i & 127)])
/** An update that is one GC struct for somebody else's client. */
const FORGED_GC = Uint8Array.from([1, 1, 100, 0, 0, 10, 0])

const tampered = (bytes: Uint8Array): Uint8Array => {
  const copy = bytes.slice()
  const at = Math.floor(copy.length / 2)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

/** Signed by the member itself, with the genesis as its only parent. */
function record({ n, mesh, records }: HostileMember, draft: Draft): Uint8Array {
  const parents = records.slice(0, 1).map(({ id }) => id)
  return sealRecord(crypto, identity(n), { mesh, parents, atMs: Math.floor(performance.now()) }, draft).bytes
}

const actorOf = (gateway: PeerId): Actor => ({ kind: 'user', id: 'u', tokenId: 't', abilities: ['*'], gateway })

const call = (method: string, gateway: PeerId, id: number): Uint8Array =>
  encodeRpc({ v: 1, id, method, actor: actorOf(gateway), input: { id: 'x'.repeat(1000) } })

/** What proves nothing against its author; a member that equivocates is frozen and its attacks end early. */
export const ATTACKS: readonly Attack[] = [
  { name: 'raw Yjs update instead of an envelope', id: 'A-C1', strike: (by, at) => give(by, at, [ownUpdate(by)]) },
  { name: 'forged GC struct', id: 'A-C1', strike: (by, at) => give(by, at, [far(by, FORGED_GC).bytes]) },
  { name: 'replay of everything heard', id: 'A-C1', strike: (by, at) => give(by, at, by.heard.envelopes.slice(-500)) },
  {
    name: 'tampered envelopes',
    id: 'A-C2',
    strike: (by, at) => give(by, at, by.heard.envelopes.slice(-200).map(tampered)),
  },
  {
    name: 'truncated envelopes',
    id: 'A-C2',
    strike: (by, at) =>
      give(
        by,
        at,
        by.heard.envelopes.slice(-200).map((bytes) => bytes.subarray(0, bytes.length - 3)),
      ),
  },
  {
    name: 'envelopes of another mesh',
    id: 'A-C1',
    strike: (by, at) => give(by, at, [far(by, ownUpdate(by), { mesh: 'cd'.repeat(32) as MeshId }).bytes]),
  },
  {
    name: "writes to the victim's own document",
    id: 'A-C1',
    strike: (by, at) => give(by, at, [far(by, ownUpdate(by), { doc: machineDoc(at) }).bytes]),
  },
  {
    name: 'flood of envelopes that wait for ever',
    id: 'A-C2',
    strike: (by, at) =>
      give(
        by,
        at,
        Array.from({ length: 50 }, (_, i) => far(by, ownUpdate(by), { seq: 200_000 + i }).bytes),
      ),
  },
  { name: 'update of 200,000 clients', id: 'A-C2', strike: (by, at) => give(by, at, [far(by, BOMB).bytes]) },
  {
    name: 'keys that touch prototypes',
    id: 'A-C2',
    strike: (by, at) =>
      give(by, at, [
        far(
          by,
          updateBy(7, (doc: Y.Doc) => void doc.getMap('__proto__').set('constructor', 1)),
        ).bytes,
      ]),
  },
  {
    name: 'noise on the synchronisation protocol',
    id: 'A-D1',
    strike: (by, at) => by.shout(at, SYNC_PROTOCOL, [crypto.sha256(new Uint8Array([performance.now() & 255]))]),
  },
  {
    name: 'frames above the limit',
    id: 'A-D1',
    strike: (by, at) => by.shout(at, PTY_PROTOCOL, [new Uint8Array(900_000)]),
  },
  {
    name: 'vectors that ask for everything',
    id: 'A-D1',
    strike: (by, at) => say(by, at, Array.from({ length: 20 }, () => vectorParts(new Map(), [], true)).flat()),
  },
  {
    name: 'heads that ask for the whole log',
    id: 'A-D1',
    strike: (by, at) =>
      say(
        by,
        at,
        Array.from({ length: 50 }, (): SyncMessage => ({ t: 'heads', heads: [] })),
      ),
  },
  {
    name: 'claims that replicas differ',
    id: 'A-D1',
    strike: (by, at) =>
      say(
        by,
        at,
        Array.from({ length: 20 }, (): SyncMessage => ({ t: 'hash', doc: ATTIC, at: [], hash })),
      ),
  },
  {
    name: 'addresses that do not exist',
    id: 'A-D1',
    strike: (by, at) =>
      say(by, at, [
        { t: 'peers', peers: [[at, Array.from({ length: 16 }, (_, i) => `/ip4/10.9.8.${i}/tcp/${1000 + i}`)]] },
      ]),
  },
  {
    name: 'replayed heartbeats',
    id: 'A-D1',
    strike: (by, at) =>
      say(
        by,
        at,
        by.heard.beats.slice(-3).map((beat) => ({ t: 'beat', beat })),
      ),
  },
  {
    name: 'records for which it has no right',
    id: 'A-M4',
    strike: (by, at) =>
      say(by, at, [
        {
          t: 'records',
          records: [
            record(by, { type: 'setCapabilities', peer: by.peer, capabilities: [...ALL].toSorted() }),
            record(by, { type: 'remove', peer: at, cuts: {} }),
            tampered(record(by, { type: 'remove', peer: by.peer, cuts: {} })),
          ],
          last: false,
        },
      ]),
  },
  { name: 'noise to the door for strangers', id: 'A-M1', strike: (by, at) => by.shout(at, JOIN_PROTOCOL, [hash]) },
  { name: 'the log, again and again', id: 'A-D1', strike: (by, at) => by.shout(at, JOIN_LOG_PROTOCOL, []) },
  { name: 'noise as introduction', id: 'A-D1', strike: (by, at) => by.shout(at, INTRODUCTION_PROTOCOL, [hash]) },
  {
    name: 'calls in the name of another gateway',
    id: 'A-M3',
    strike: (by, at) =>
      by.shout(
        at,
        RPC_PROTOCOL,
        Array.from({ length: 200 }, (_, i) => call('session.remove', at, i)),
      ),
  },
  {
    name: 'calls of methods that do not exist',
    id: 'A-D1',
    strike: (by, at) =>
      by.shout(
        at,
        RPC_PROTOCOL,
        Array.from({ length: 500 }, (_, i) => call(`x${i}`, by.peer, i)),
      ),
  },
  { name: 'noise on the protocol of terminals', id: 'A-D1', strike: (by, at) => by.shout(at, PTY_PROTOCOL, [hash]) },
  {
    name: 'noise on the protocol of leases',
    id: 'A-L1',
    strike: (by, at) => by.shout(at, LEASE_PROTOCOL, [hash, hash]),
  },
  {
    name: 'leases in the name of others and of another mesh',
    id: 'A-L1',
    strike: (by, at) =>
      by.shout(at, LEASE_PROTOCOL, [
        encodeCanonical([
          encodeMessage({ t: 'request', m: requestOf({ by: 21 }) }),
          encodeMessage({ t: 'request', m: requestOf({ by: by.n }) }),
        ]),
      ]),
  },
]

/** Each proves something against its author, for ever: it is frozen. */
export const CONVICTIONS: readonly (Attack & { readonly reason: string })[] = [
  {
    name: 'two histories of one feed',
    id: 'A-C1',
    reason: 'equivocation',
    async strike(by, at) {
      const client = clientIdOf(crypto, by.peer, ATTIC, NONCE)
      for (const value of ['one', 'other']) {
        const change = { mesh: by.mesh, doc: ATTIC, nonce: NONCE }
        await give(by, at, [new Forger(by.n).seal(updateBy(client, setKey('key', value)), change).bytes])
      }
    },
  },
  {
    name: "somebody else's clientID",
    id: 'A-C1',
    reason: 'malformed update',
    strike: (by, at) =>
      give(by, at, [new Forger(by.n).seal(updateBy(100, setKey('a', 1)), { mesh: by.mesh, doc: ATTIC }).bytes]),
  },
]

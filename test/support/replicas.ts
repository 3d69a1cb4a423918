import * as Y from 'yjs'
import type { Capability } from '../../crdt/capability.ts'
import type { DocId, MeshId, PeerId } from '../../crdt/ids.ts'
import { sealEnvelope, type Envelope, type EnvelopeBody } from '../../protocols/feed/envelope.ts'
import type { SyncMessage } from '../../protocols/sync.ts'
import type { FeedCut, Member, Membership } from '../../protocols/membership/membership.ts'
import { createDocuments, type DocumentsService } from '../../node/services/feeds/documents-service.ts'
import { answerStanding } from '../../node/services/sync/sync-answer.ts'
import { createManualClock, type ManualClock } from './clock.ts'
import { createSeededRandom, crypto, identity } from './identity.ts'
import { createRecordedLog, type RecordedLog } from './log.ts'
import { createMemoryStore, type MemoryStore } from './memory-store.ts'

export const MESH = 'ab'.repeat(32) as MeshId
export const PROJECT = 'project/00000000-0000-4000-8000-000000000001' as DocId
export const OTHER_PROJECT = 'project/00000000-0000-4000-8000-000000000002' as DocId

/** A membership that tests change by assignment. */
export type TestMembership = {
  members: Map<PeerId, Member>
  removed: Map<PeerId, Map<DocId, FeedCut>>
  readonly voided: Set<PeerId>
  readonly current: () => Membership
}

export function createMembership(count: number, capabilities: readonly Capability[] = ['store']): TestMembership {
  const members = new Map<PeerId, Member>()
  for (let n = 0; n < count; n++) {
    const { peer } = identity(n)
    const name = `node ${n}`
    members.set(peer, { peer, name, boxKey: new Uint8Array(32), capabilities: new Set(capabilities), seniority: n })
  }
  const removed: TestMembership['removed'] = new Map()
  const voided = new Set<PeerId>()
  const founder = identity(0).peer
  return {
    members,
    removed,
    voided,
    current: () => ({
      mesh: MESH,
      founder,
      members,
      removed,
      invites: new Map(),
      leaseConfig: undefined,
      voterSets: [],
      voterFaults: [],
      recoveryKeys: [],
      voided,
      heads: [],
    }),
  }
}

export type TestReplica = {
  readonly peer: PeerId
  readonly documents: DocumentsService
  readonly store: MemoryStore
  readonly clock: ManualClock
  readonly log: RecordedLog
}

let processes = 0

/** A replica in memory; the same store again is the same node after a restart. */
export async function createTestReplica(
  n: number,
  membership: TestMembership,
  store = createMemoryStore(),
): Promise<TestReplica> {
  const clock = createManualClock()
  const log = createRecordedLog()
  const signer = identity(n)
  // Every process start has randomness of its own.
  const random = createSeededRandom(1000 * n + processes++)
  const documents = await createDocuments({
    store,
    crypto,
    signer,
    clock,
    random,
    log,
    membership: membership.current,
  })
  return { peer: signer.peer, documents, store, clock, log }
}

export const setKey = (key: string, value: unknown) => (state: Y.Doc) => void state.getMap('m').set(key, value)

export const contentOf = (replica: TestReplica, doc: DocId = PROJECT): Promise<unknown> =>
  replica.documents.read(doc, (state) => state.getMap('m').toJSON())

/** Everything `to` lacks of what `from` has, as sync would bring it. */
export async function sync(from: TestReplica, to: TestReplica): Promise<void> {
  await to.documents.receive(await missingAt(from, to), from.peer)
}

async function missingAt({ documents }: TestReplica, to: TestReplica): Promise<Uint8Array[]> {
  const envelopes: Uint8Array[] = []
  const link = {
    async send(message: SyncMessage) {
      if (message.t === 'envelopes') envelopes.push(...message.envelopes)
      return true
    },
  }
  const theirs = to.documents.vectors()
  await answerStanding(
    documents,
    { theirs, frozen: [...to.documents.frozen().keys()] },
    { link, onSent: () => undefined },
  )
  return envelopes
}

/** What a member with a modified program can do: sign anything. */
export class Forger {
  readonly peer: PeerId
  readonly #n: number
  seq = 0
  prev: Uint8Array | null = null

  constructor(n: number) {
    this.#n = n
    this.peer = identity(n).peer
  }

  /** The next envelope of its feed; `change` replaces any part of it. */
  seal(update: Uint8Array, change: Partial<EnvelopeBody> = {}): Envelope {
    const body = {
      mesh: MESH,
      doc: PROJECT,
      author: this.peer,
      seq: this.seq + 1,
      prev: this.prev,
      deps: {},
      at: 1_800_000_000_000,
      update,
      ...change,
    }
    const envelope = sealEnvelope(body, identity(this.#n), crypto)
    this.seq = body.seq
    this.prev = envelope.hash
    return envelope
  }
}

/** The update of one transaction by the given client. */
export function updateBy(client: number, change: (state: Y.Doc) => void, base?: Uint8Array): Uint8Array {
  const doc = new Y.Doc()
  if (base) Y.applyUpdate(doc, base)
  doc.clientID = client
  const updates: Uint8Array[] = []
  doc.on('update', (update: Uint8Array) => updates.push(update))
  doc.transact(() => change(doc))
  if (updates.length !== 1 || !updates[0]) throw new Error(`${updates.length} updates`)
  return updates[0]
}

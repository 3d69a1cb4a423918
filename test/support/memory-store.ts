import type { DocId, PeerId } from '../../crdt/ids.ts'
import type { FeedStore, Snapshot, StoredEnvelope } from '../../node/ports/feed-store.ts'

export type MemoryStore = FeedStore & {
  /** Appends fail with this error, storing nothing, until it is set to undefined again. */
  failWith(error: Error | undefined): void
  /** Holds every append back until `release`: what is written meanwhile is not synced. */
  hold(): void
  /** The same for facts alone. */
  holdFacts(): void
  release(): void
  /** What a restarted process would find: everything synced and nothing else. The old store stops working. */
  crash(): MemoryStore
  /** The disk as it is now, as a backup has it; this store goes on. */
  copy(): MemoryStore
  readonly appends: readonly (readonly StoredEnvelope[])[]
}

type Disk = {
  readonly feeds: Map<DocId, Map<PeerId, StoredEnvelope[]>>
  readonly snapshots: Map<DocId, Snapshot>
  readonly summaries: Map<DocId, Snapshot>
  readonly names: Map<DocId, Set<string>>
  readonly records: Uint8Array[]
  readonly facts: Map<string, Uint8Array>
}

/** A feed store in memory that can refuse, stall and crash. */
export function createMemoryStore(
  disk: Disk = {
    feeds: new Map(),
    snapshots: new Map(),
    summaries: new Map(),
    names: new Map(),
    records: [],
    facts: new Map(),
  },
): MemoryStore {
  let failure: Error | undefined
  let held: { promise: Promise<void>; resolve: () => void } | undefined
  let heldFacts: typeof held
  let dead = false
  const appends: StoredEnvelope[][] = []
  /** Every operation takes at least one turn of the event loop, as real disks do. */
  const turn = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve))
    await held?.promise
    if (dead) throw new Error('the process that used this store has crashed')
    if (failure) throw failure
  }
  const feed = (doc: DocId, author: PeerId): StoredEnvelope[] => {
    const authors = disk.feeds.get(doc) ?? new Map<PeerId, StoredEnvelope[]>()
    disk.feeds.set(doc, authors)
    const list = authors.get(author) ?? []
    authors.set(author, list)
    return list
  }
  return {
    appends,
    failWith(error) {
      failure = error
    },
    hold() {
      held ??= Promise.withResolvers<void>()
    },
    holdFacts() {
      heldFacts ??= Promise.withResolvers<void>()
    },
    release() {
      held?.resolve()
      heldFacts?.resolve()
      held = heldFacts = undefined
    },
    crash() {
      dead = true
      return createMemoryStore(structuredClone(disk))
    },
    copy: () => createMemoryStore(structuredClone(disk)),
    async append(envelopes) {
      const batch = envelopes.map((envelope) => ({ ...envelope, bytes: envelope.bytes.slice() }))
      await turn()
      for (const envelope of batch) feed(envelope.doc, envelope.author)[envelope.seq - 1] = envelope
      appends.push(batch)
    },
    async *read(doc, author, fromSeq) {
      await turnForRead()
      for (const envelope of (disk.feeds.get(doc)?.get(author) ?? []).slice(fromSeq - 1)) yield envelope
    },
    async readOne(doc, author, seq) {
      await turnForRead()
      return disk.feeds.get(doc)?.get(author)?.[seq - 1]?.bytes
    },
    async truncate(doc, author, lastSeq) {
      await turn()
      feed(doc, author).splice(lastSeq)
    },
    async documents() {
      const documents = new Map<DocId, Map<PeerId, number>>()
      for (const [doc, authors] of disk.feeds) {
        const heads = [...authors]
          .filter(([, list]) => list.length > 0)
          .map(([peer, list]) => [peer, list.length] as const)
        if (heads.length > 0) documents.set(doc, new Map(heads))
      }
      return documents
    },
    async saveSnapshot(doc, snapshot) {
      await turn()
      disk.snapshots.set(doc, structuredClone(snapshot))
    },
    loadSnapshot: async (doc) => structuredClone(disk.snapshots.get(doc)),
    async saveSummary(doc, summary, { added, removed }) {
      const copy = structuredClone(summary)
      const changes = [[...added], [...removed]] as const
      await turn()
      const names = disk.names.get(doc) ?? new Set()
      disk.names.set(doc, new Set([...names].filter((name) => !changes[1].includes(name)).concat(changes[0])))
      disk.summaries.set(doc, copy)
    },
    loadSummary: async (doc) => structuredClone(disk.summaries.get(doc)),
    named: async (name) => [...disk.names].flatMap(([doc, names]) => (names.has(name) ? [doc] : [])).toSorted(),
    async appendRecords(records) {
      const batch = records.map((record) => record.slice())
      await turn()
      disk.records.push(...batch)
    },
    readRecords: async () => [...disk.records],
    async putFact(key, value) {
      const copy = value.slice()
      await heldFacts?.promise
      await turn()
      disk.facts.set(key, copy)
    },
    getFact: async (key) => disk.facts.get(key),
    close: async () => undefined,
  }

  async function turnForRead(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (dead) throw new Error('the process that used this store has crashed')
  }
}

import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { Clock } from '../../../node/ports/clock.ts'
import type { FeedStore, Snapshot, StoredEnvelope } from '../../../node/ports/feed-store.ts'
import type { Life } from '../ports/life.ts'
import type { Prng } from '../ports/prng.ts'
import type { SimDisk } from '../ports/sim-disk.ts'

/** What is on the disk of a node. */
export type StoreState = {
  readonly feeds: Map<DocId, Map<PeerId, StoredEnvelope[]>>
  readonly snapshots: Map<DocId, Snapshot>
  readonly summaries: Map<DocId, Snapshot>
  readonly names: Map<DocId, Set<string>>
  readonly records: Uint8Array[]
  readonly facts: Map<string, Uint8Array>
  /** Writes that failed and may be there all the same, until the next that succeeds undoes them. */
  limbo: Operation[]
}

type Operation = (state: StoreState) => void

export const emptyStore = (): StoreState => ({
  feeds: new Map(),
  snapshots: new Map(),
  summaries: new Map(),
  names: new Map(),
  records: [],
  facts: new Map(),
  limbo: [],
})

export type StoreFaults = {
  /** Share of writes that are refused. */
  readonly refuseRate: number
  /** Share of reads that take a while. */
  readonly slowReadRate: number
}

export const SOUND_STORE: StoreFaults = { refuseRate: 0, slowReadRate: 0 }

export type StoreObserver = {
  /** The envelopes have become durable: after a sync, or because a crash left them on the disk. */
  readonly durable: (envelopes: readonly StoredEnvelope[]) => void
  readonly snapshot: (what: 'saved' | 'loaded') => void
  readonly refused: () => void
  /** A write was given to the disk. */
  readonly issued: () => void
  readonly applied: () => void
}

export type StoreProcess = {
  readonly life: Life
  readonly clock: Clock
  readonly prng: Prng
  readonly faults: () => StoreFaults
}

const READ_MS_MAX = 40
const REFUSE_MS_MAX = 20
/** A refused write that its disk kept all the same. */
const KEPT_RATE = 0.5

/** The store port on a simulated disk, for one process. What an earlier one could not undo may be there. */
export function openSimStore(disk: SimDisk<StoreState>, process: StoreProcess, observer: StoreObserver): FeedStore {
  const { life, clock, prng } = process
  settleLimbo(disk.state, prng)
  const commit = async (operation: Operation): Promise<void> => {
    observer.issued()
    if (prng.chance(process.faults().refuseRate)) {
      observer.refused()
      disk.write(life, (state) => {
        observer.applied()
        state.limbo.push(operation)
      })
      await new Promise<void>((resolve) => clock.after(prng.between(0, REFUSE_MS_MAX), resolve))
      throw new Error('the simulated disk refuses')
    }
    disk.write(life, (state) => {
      observer.applied()
      state.limbo = []
      operation(state)
    })
    await disk.sync(life, clock)
  }
  const reading = async (): Promise<void> => {
    if (!prng.chance(process.faults().slowReadRate)) return
    await new Promise<void>((resolve) => clock.after(prng.between(0, READ_MS_MAX), resolve))
  }
  return {
    append: (envelopes) =>
      commit((state) => {
        for (const envelope of envelopes)
          feedIn(state, envelope.doc, envelope.author)[envelope.seq - 1] = kept(envelope)
        observer.durable(envelopes)
      }),
    async *read(doc, author, fromSeq) {
      const found = (disk.state.feeds.get(doc)?.get(author) ?? []).slice(fromSeq - 1)
      await reading()
      yield* found
    },
    async readOne(doc, author, seq) {
      const found = disk.state.feeds.get(doc)?.get(author)?.[seq - 1]
      await reading()
      return found?.bytes
    },
    truncate: (doc, author, lastSeq) => commit((state) => void feedIn(state, doc, author).splice(lastSeq)),
    async documents() {
      await reading()
      return headsIn(disk.state)
    },
    async saveSnapshot(doc, snapshot) {
      await commit((state) => void state.snapshots.set(doc, snapshot))
      observer.snapshot('saved')
    },
    async loadSnapshot(doc) {
      const snapshot = disk.state.snapshots.get(doc)
      await reading()
      if (snapshot) observer.snapshot('loaded')
      return snapshot
    },
    saveSummary: (doc, summary, { added, removed }) => {
      const [more, less] = [[...added], [...removed]]
      return commit((state) => {
        const names = new Set(state.names.get(doc))
        for (const name of less) names.delete(name)
        for (const name of more) names.add(name)
        state.names.set(doc, names)
        state.summaries.set(doc, summary)
      })
    },
    async loadSummary(doc) {
      const summary = disk.state.summaries.get(doc)
      await reading()
      return summary
    },
    async named(name) {
      await reading()
      return [...disk.state.names].flatMap(([doc, names]) => (names.has(name) ? [doc] : [])).toSorted()
    },
    appendRecords: (records) => commit((state) => void state.records.push(...records)),
    readRecords: async () => [...disk.state.records],
    putFact: (key, value) => commit((state) => void state.facts.set(key, value)),
    getFact: async (key) => disk.state.facts.get(key),
    close: async () => undefined,
  }
}

export function feedIn(state: StoreState, doc: DocId, author: PeerId): StoredEnvelope[] {
  const authors = state.feeds.get(doc) ?? new Map<PeerId, StoredEnvelope[]>()
  state.feeds.set(doc, authors)
  const feed = authors.get(author) ?? []
  authors.set(author, feed)
  return feed
}

const kept = ({ doc, author, seq, bytes }: StoredEnvelope): StoredEnvelope => ({ doc, author, seq, bytes })

function headsIn(state: StoreState): Map<DocId, Map<PeerId, number>> {
  const heads = new Map<DocId, Map<PeerId, number>>()
  for (const [doc, authors] of state.feeds) {
    const known = [...authors].filter(([, feed]) => feed.length > 0)
    if (known.length > 0) heads.set(doc, new Map(known.map(([author, feed]) => [author, feed.length])))
  }
  return heads
}

function settleLimbo(state: StoreState, prng: Prng): void {
  const { limbo } = state
  state.limbo = []
  // A log is read up to its first unreadable place.
  for (const operation of limbo) {
    if (!prng.chance(KEPT_RATE)) return
    operation(state)
  }
}

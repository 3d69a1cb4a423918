import type { DocId, PeerId } from '../../crdt/ids.ts'
import type { DataDirectory } from '../adapters/data-directory.ts'
import type { FeedSize, StoreSizes } from '../adapters/level-sizes.ts'
import { diskView, type DiskView } from './disk-view.ts'
import type { MeshCore } from './mesh-core.ts'

export type AuthorStorage = {
  readonly peer: PeerId
  readonly name: string
  readonly envelopes: number
  readonly bytes: number
  readonly bytesPerDay: number
}

export type DocumentStorage = Omit<AuthorStorage, 'peer' | 'name'> & {
  readonly id: DocId
  readonly snapshotBytes: number
  readonly loaded: boolean
  readonly structs: number | null
  readonly authors: readonly AuthorStorage[]
}

export type StorageView = {
  /** Largest first. */
  readonly documents: readonly DocumentStorage[]
  readonly membership: { readonly count: number; readonly bytes: number }
  /** What is known of documents that are not in memory, and the ids that lead to them. */
  readonly summaries: { readonly count: number; readonly bytes: number }
  readonly facts: { readonly count: number; readonly bytes: number }
  readonly disk: DiskView
  readonly bytesPerDay: number
}

const DAY_MS = 86_400_000
/** Growth is that of the last days, so that an import long ago does not count, and a quiet Sunday does not mislead. */
const WINDOW_DAYS = 7

/** What takes how much space. Growth goes by the times that authors wrote into their envelopes. */
export async function storageView(data: DataDirectory, core: MeshCore): Promise<StorageView> {
  const { store, mesh, means } = core
  const now = means.clock.wallMs()
  const sizes = await store.sizes(now - WINDOW_DAYS * DAY_MS)
  const documents = documentsOf(core, sizes, now)
  return {
    documents,
    membership: sizes.records,
    summaries: sizes.summaries,
    facts: sizes.facts,
    disk: await diskView(data, mesh),
    bytesPerDay: documents.reduce((sum, { bytesPerDay }) => sum + bytesPerDay, 0),
  }
}

function documentsOf(
  { documents, nameOf }: MeshCore,
  { feeds, snapshots }: StoreSizes,
  now: number,
): DocumentStorage[] {
  const known = new Map(documents.info().map((info) => [info.doc, info]))
  return [...Map.groupBy(feeds, ({ doc }) => doc)]
    .map(([id, ofDoc]) => {
      const info = known.get(id)
      const days = daysOf(ofDoc, now)
      return {
        id,
        ...sumOf(ofDoc, days),
        snapshotBytes: snapshots.get(id) ?? 0,
        loaded: info?.loaded ?? false,
        structs: info?.weight?.structs ?? null,
        authors: ofDoc
          .map((feed) => ({ peer: feed.author, name: nameOf(feed.author), ...sumOf([feed], days) }))
          .toSorted((a, b) => b.bytes - a.bytes),
      }
    })
    .toSorted((a, b) => b.bytes + b.snapshotBytes - a.bytes - a.snapshotBytes)
}

/** A document younger than the window has grown in fewer days; what is younger than a day, in one. */
const daysOf = (feeds: readonly FeedSize[], now: number): number =>
  Math.max(1, Math.min(WINDOW_DAYS, (now - Math.min(...feeds.map(({ firstAt }) => firstAt))) / DAY_MS))

function sumOf(feeds: readonly FeedSize[], days: number): Omit<AuthorStorage, 'peer' | 'name'> {
  const sum = (pick: (feed: FeedSize) => number): number => feeds.reduce((total, feed) => total + pick(feed), 0)
  return {
    envelopes: sum(({ envelopes }) => envelopes),
    bytes: sum(({ bytes }) => bytes),
    bytesPerDay: Math.round(sum(({ lateBytes }) => lateBytes) / days),
  }
}

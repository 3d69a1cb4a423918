import { rename, rm } from 'node:fs/promises'
import type { LocalIndex } from 'vectra'
import type { VectorHit, VectorIndex, VectorItem } from '../ports/vector-index.ts'

/**
 * It keeps all vectors in memory as arrays of numbers and writes all of them with each change: with 10,000 of 384 numbers
 * that is some 50 MB of memory and most of a second per write; with 100,000 it can no longer write them at all.
 */
const CAPACITY = 10_000

type Metadata = { group: string }

/** Opens the index in this folder; one that cannot be read is replaced by an empty one. Loads vectra, which is large. */
export async function openVectraIndex(folder: string): Promise<VectorIndex> {
  const { LocalFileStorage, LocalIndex } = await import('vectra')
  /** A crash while it writes must not cost all vectors: they were paid for. */
  class WholeFiles extends LocalFileStorage {
    override async upsertFile(path: string, content: Buffer | string): Promise<void> {
      await super.upsertFile(`${path}.new`, content)
      await rename(`${path}.new`, path)
    }
  }
  const index = new LocalIndex<Metadata>(folder, undefined, new WholeFiles())
  return new VectraIndex(index, await loadItems(index))
}

class VectraIndex implements VectorIndex {
  readonly capacity = CAPACITY
  dimensions: number | undefined
  readonly #index: LocalIndex<Metadata>
  readonly #ids: Set<string>

  constructor(index: LocalIndex<Metadata>, items: readonly Stored[]) {
    this.#index = index
    this.#ids = new Set(items.map(({ id }) => id))
    this.dimensions = items[0]?.vector.length
  }

  ids(): readonly string[] {
    return [...this.#ids]
  }

  async put(items: readonly VectorItem[]): Promise<void> {
    const length = this.dimensions ?? items[0]?.vector.length
    if (items.some(({ vector }) => vector.length !== length)) throw new Error(`vectors here have ${length} numbers`)
    const fresh = items.filter(({ id }) => !this.#ids.has(id)).length
    if (this.#ids.size + fresh > CAPACITY) throw new Error(`at most ${CAPACITY} vectors`)
    if (items.length === 0) return
    await this.#change(async () => {
      await this.#index.deleteItems(items.map(({ id }) => id))
      for (const { id, group, vector } of items)
        await this.#index.insertItem({ id, vector: [...vector], metadata: { group } })
    })
    for (const { id } of items) this.#ids.add(id)
    this.dimensions = length
  }

  async remove(ids: readonly string[]): Promise<void> {
    const known = ids.filter((id) => this.#ids.has(id))
    if (known.length === 0) return
    await this.#change(() => this.#index.deleteItems(known))
    for (const id of known) this.#ids.delete(id)
    if (this.#ids.size === 0) this.dimensions = undefined
  }

  async nearest(vector: Float32Array, groups: readonly string[], limit: number): Promise<readonly VectorHit[]> {
    if (this.dimensions === undefined) return []
    if (vector.length !== this.dimensions) throw new Error(`vectors here have ${this.dimensions} numbers`)
    const found = await this.#index.queryItems([...vector], '', limit, { group: { $in: [...groups] } })
    return found.map(({ item, score }) => ({ id: item.id, similarity: score }))
  }

  async clear(): Promise<void> {
    await this.#index.createIndex({ version: 1, deleteIfExists: true })
    this.#ids.clear()
    this.dimensions = undefined
  }

  /** Everything is on disk already. */
  async close(): Promise<void> {}

  /** All or nothing, and one write. */
  async #change(work: () => Promise<void>): Promise<void> {
    await this.#index.beginUpdate()
    try {
      await work()
      await this.#index.endUpdate()
    } catch (error) {
      this.#index.cancelUpdate()
      throw error
    }
  }
}

type Stored = Awaited<ReturnType<LocalIndex<Metadata>['listItems']>>[number]

async function loadItems(index: LocalIndex<Metadata>): Promise<Stored[]> {
  try {
    const stored = (await index.isIndexCreated()) ? await index.listItems() : undefined
    if (stored?.every(isItem)) return stored
  } catch {
    // What cannot be read is made again from the texts.
  }
  await rm(index.folderPath, { recursive: true, force: true })
  await index.createIndex({ version: 1 })
  return []
}

const isItem = ({ id, vector, metadata }: Stored): boolean =>
  typeof id === 'string' && Array.isArray(vector) && typeof metadata?.group === 'string'

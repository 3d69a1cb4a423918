import { readSegment } from '../../../crdt/context-document.ts'
import { contextPlace, type DocId, type ProjectId } from '../../../crdt/ids.ts'
import { toHex } from '../../../protocols/codec.ts'
import { IndexDamagedError, type ChunkIndex } from '../../ports/chunk-index.ts'
import type { ContextDeps } from './context-deps.ts'

export type IndexKeeper = {
  /** Begins to read what has changed since the last run. */
  start(): void
  /** Reads one document now. One that cannot be read is logged, and tried again later. */
  read(doc: DocId): Promise<void>
  /** Resolves when everything that is known now has been read. */
  settled(): Promise<void>
  isBehind(): boolean
  /** Uses the index; one that turns out to be damaged is emptied and filled again. */
  use<T>(work: (index: ChunkIndex) => T): T
  stop(): void
}

type KeeperDeps = Pick<ContextDeps, 'documents' | 'projects' | 'events' | 'index' | 'clock' | 'log'> & {
  /** Called when the index has changed. */
  readonly onChange: () => void
}

/**
 * Keeps the index in step with the segments of all projects. A segment is in memory only while it is read; which have
 * changed is told by where their feeds end.
 */
export function createIndexKeeper(deps: KeeperDeps): IndexKeeper {
  return new Keeper(deps)
}

class Keeper implements IndexKeeper {
  readonly #deps: KeeperDeps
  /** Documents to be read; there are as many as documents at most. */
  readonly #stale = new Set<DocId>()
  /** Those that could not be: they are tried again when anything changes. */
  readonly #failed = new Set<DocId>()
  #reading: Promise<void> | undefined
  #stops: (() => void)[] = []
  #isStopped = false

  constructor(deps: KeeperDeps) {
    this.#deps = deps
  }

  start(): void {
    const { documents, events } = this.#deps
    this.#stops = [
      documents.onChange((doc) => this.#mark([doc])),
      events.subscribe((event) => {
        if (event.type === 'project.created' || event.type === 'project.deleted') this.#markProject(event.projectId)
      }),
    ]
    this.#compare()
  }

  async read(doc: DocId): Promise<void> {
    const place = contextPlace(doc)
    if (!place) return
    this.#stale.delete(doc)
    this.#failed.delete(doc)
    const { documents, projects, log, onChange } = this.#deps
    const isWanted = documents.heads(doc).size > 0 && projects.resolve(place.project) !== undefined
    try {
      if (!isWanted) this.use((index) => index.dropSegment(doc))
      else await documents.read(doc, (state) => this.#put(doc, place.project, readSegment(state)))
      onChange()
    } catch (error) {
      this.#failed.add(doc)
      log.error({ err: error, doc }, 'a part of the context could not be read into the index')
    }
  }

  async settled(): Promise<void> {
    await this.#reading
  }

  isBehind(): boolean {
    return this.#stale.size + this.#failed.size > 0
  }

  use<T>(work: (index: ChunkIndex) => T): T {
    const { index, log } = this.#deps
    try {
      return work(index)
    } catch (error) {
      if (!(error instanceof IndexDamagedError)) throw error
      log.error({ err: error }, 'the index of the context is damaged: it is made anew')
      index.reset()
      this.#compare()
      return work(index)
    }
  }

  stop(): void {
    this.#isStopped = true
    for (const stop of this.#stops) stop()
  }

  #put(doc: DocId, project: ProjectId, { chunks, removed }: ReturnType<typeof readSegment>): void {
    const segment = { doc, project, position: this.#position(doc), chunks, removed }
    this.use((index) => index.putSegment(segment))
  }

  /** What has changed while this node was not running, or all of it. */
  #compare(): void {
    const { documents, projects } = this.#deps
    const known = this.use((index) => index.segments())
    const wanted = documents.list().filter((doc) => {
      const place = contextPlace(doc)
      return place !== undefined && projects.resolve(place.project) !== undefined
    })
    const there = new Set(wanted)
    this.#mark([
      ...wanted.filter((doc) => known.get(doc) !== this.#position(doc)),
      ...[...known.keys()].filter((doc) => !there.has(doc)),
    ])
  }

  #markProject(project: ProjectId): void {
    const { documents, projects } = this.#deps
    const ids = new Set<string>([project, ...(projects.resolve(project)?.aliases ?? [])])
    this.#mark(documents.list().filter((doc) => ids.has(contextPlace(doc)?.project ?? '')))
  }

  #position(doc: DocId): string {
    return [...this.#deps.documents.heads(doc)].map(([, { seq, hash }]) => `${seq} ${toHex(hash)}`).join(', ')
  }

  #mark(docs: readonly DocId[]): void {
    if (this.#isStopped) return
    const segments = docs.filter((doc) => contextPlace(doc))
    for (const doc of segments.length > 0 ? [...segments, ...this.#failed] : []) this.#stale.add(doc)
    if (this.#stale.size === 0 || this.#reading) return
    this.#reading = this.#readAll().finally(() => {
      this.#reading = undefined
      this.#mark([])
    })
  }

  async #readAll(): Promise<void> {
    for (const doc of this.#stale) {
      if (this.#isStopped) return
      await this.read(doc)
      // Others get a turn between two of many.
      if (this.#stale.size > 0) await new Promise<void>((resolve) => this.#deps.clock.after(0, resolve))
    }
  }
}

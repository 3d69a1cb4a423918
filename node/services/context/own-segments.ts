import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import type { ChunkRecord } from '../../../crdt/context-chunk.ts'
import { addChunk, dropChunk, isFull, markRemoved } from '../../../crdt/context-document.ts'
import { contextDoc, contextPlace, type ChunkId, type DocId, type PeerId, type ProjectId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import { ok } from '../../../crdt/result.ts'
import type { StoredChunk } from '../../ports/chunk-index.ts'
import type { Documents } from '../feeds/documents.ts'
import { written } from '../written.ts'

/** Writes this node's segments. Resolves with the document that was written, once that is durable. */
export type OwnSegments = {
  add(actor: Actor | undefined, project: ProjectId, chunk: { id: ChunkId; record: ChunkRecord }): Promise<Result<DocId>>
  /** Takes a chunk out of a segment of our own, or says that one of somebody else's is to be gone. */
  remove(actor: Actor | undefined, stored: StoredChunk, at: string): Promise<Result<DocId>>
}

export function createOwnSegments({ documents, self }: { documents: Documents; self: PeerId }): OwnSegments {
  /** The last segment of each project, once it has been looked for; there are as many as projects are written to. */
  const last = new Map<ProjectId, number>()

  const lastOf = (project: ProjectId): number => {
    const numbers = documents.list().flatMap((doc) => {
      const place = contextPlace(doc)
      return place?.project === project && place.author === self ? [place.segment] : []
    })
    return Math.max(0, ...numbers)
  }
  const open = async (project: ProjectId): Promise<DocId> => {
    const segment = last.get(project) ?? lastOf(project)
    const doc = contextDoc(project, self, segment)
    const next = (await documents.read(doc, isFull)) ? segment + 1 : segment
    last.set(project, Math.max(next, last.get(project) ?? 0))
    return contextDoc(project, self, next)
  }
  const write = async (
    doc: DocId,
    actor: Actor | undefined,
    change: (state: Y.Doc) => void,
  ): Promise<Result<DocId>> => {
    const result = await written(documents.write(doc, actor, change))
    return result.ok ? ok(doc) : result
  }
  return {
    add: async (actor, project, { id, record }) =>
      await write(await open(project), actor, (state) => addChunk(state, id, record)),
    async remove(actor, { id, doc }, at) {
      const place = contextPlace(doc)
      if (!place) throw new Error(`${doc} is no segment`)
      if (place.author === self) return await write(doc, actor, (state) => dropChunk(state, id))
      return await write(await open(place.project), actor, (state) => markRemoved(state, id, at))
    },
  }
}

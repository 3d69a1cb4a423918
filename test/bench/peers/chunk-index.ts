import type { ChunkRecord } from '../../../crdt/context-chunk.ts'
import { contextDoc, type ChunkId, type PeerId, type ProjectId } from '../../../crdt/ids.ts'
import { openChunkIndex } from '../../../node/adapters/sqlite-chunk-index.ts'
import { answerCalls } from '../calls.ts'
import { measureIndex, type IndexCalls } from '../measured-index.ts'

/** As many as a segment holds of such texts. */
const SEGMENT = 700
const project = '00000000-0000-4000-8000-0000000000a1' as ProjectId
const author = `12D3KooW${'a'.repeat(44)}` as PeerId
const index = openChunkIndex(process.argv[2] ?? '')
let segments = 0
let ids = 0

const recordOf = (content: string): ChunkRecord => ({
  content,
  type: 'decision',
  instance_id: null,
  task_id: null,
  files: [],
  importance_score: 0.5,
  expires_at: null,
  created_at: '2026-01-01T00:00:00Z',
  created_by: 'bench',
})
const idOf = (n: number): ChunkId => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` as ChunkId

const calls: IndexCalls = measureIndex({
  batch: SEGMENT,
  add(texts) {
    const chunks = new Map(texts.map((text) => [idOf(ids++), recordOf(text)]))
    const doc = contextDoc(project, author, segments++)
    index.putSegment({ doc, project, position: '1', chunks, removed: new Set() })
  },
  search: (question) => index.search({ projects: [project], nowMs: 0 }, question, 50)?.length ?? 0,
})

answerCalls(calls, () => index.close())

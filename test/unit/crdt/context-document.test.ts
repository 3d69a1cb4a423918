import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import type { ChunkRecord } from '../../../crdt/context-chunk.ts'
import {
  addChunk,
  dropChunk,
  isFull,
  markRemoved,
  readSegment,
  SEGMENT_BYTES_MAX,
  SEGMENT_STRUCTS_MAX,
} from '../../../crdt/context-document.ts'
import { contextDoc, contextPlace, DocId, soleAuthor, type ChunkId, type ProjectId } from '../../../crdt/ids.ts'
import { identity } from '../../support/identity.ts'

const id = (n: number): ChunkId => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` as ChunkId
const chunk = (content: string): ChunkRecord => ({
  content,
  type: 'decision',
  instance_id: null,
  task_id: null,
  files: [],
  importance_score: 0.5,
  expires_at: null,
  created_at: '2026-01-01T00:00:00Z',
  created_by: 'someone',
})

describe('a segment of the context', () => {
  it('has a name that says whose it is, and nobody else may write it', () => {
    const { peer } = identity(1)
    const doc = contextDoc(id(1) as string as ProjectId, peer, 12)
    expect([DocId.parse(doc), soleAuthor(doc), contextPlace(doc)]).toEqual([
      doc,
      peer,
      { project: id(1), author: peer, segment: 12 },
    ])
    expect([`${doc}34567`, `${doc}/1`, doc.replace(peer, 'me')].map((name) => DocId.safeParse(name).success)).toEqual([
      false,
      false,
      false,
    ])
  })

  it('says what was added, less what was dropped, and what is to be gone elsewhere', () => {
    const state = new Y.Doc()
    addChunk(state, id(1), chunk('one'))
    addChunk(state, id(2), chunk('two'))
    dropChunk(state, id(1))
    dropChunk(state, id(7))
    markRemoved(state, id(9), '2026-01-01T00:00:00Z')
    expect(readSegment(state)).toEqual({ chunks: new Map([[id(2), chunk('two')]]), removed: new Set([id(9)]) })
  })

  it('does not say what is not valid', () => {
    const state = new Y.Doc()
    const chunks = state.getMap('chunks')
    for (const [key, value] of [
      ['nonsense', chunk('x')],
      [id(1), 'x'],
      [id(2), { ...chunk('x'), type: 'gossip' }],
      [id(3), { ...chunk('x'), importance_score: 2 }],
      [id(4), { ...chunk('x'), content: 'x'.repeat(50_001) }],
      [id(5), { ...chunk('kept'), later: 'field' }],
    ] as const)
      chunks.set(key, value)
    state.getMap('removed').set('nonsense', 'x')
    expect(readSegment(state)).toEqual({ chunks: new Map([[id(5), chunk('kept')]]), removed: new Set() })
  })

  it('is full when it holds much, or when much has been changed in it', () => {
    const large = new Y.Doc()
    for (let n = 0; n * 50_000 < SEGMENT_BYTES_MAX; n++) {
      expect(isFull(large)).toBe(false)
      addChunk(large, id(n), chunk('x'.repeat(50_000)))
    }
    expect(isFull(large)).toBe(true)
    dropChunk(large, id(0))
    expect(isFull(large)).toBe(false)
    const old = new Y.Doc()
    // Every other one stays: Yjs joins what is left of neighbours.
    for (let n = 0; n < SEGMENT_STRUCTS_MAX; n++) addChunk(old, id(n), chunk('x'))
    expect(isFull(old)).toBe(true)
  })
})

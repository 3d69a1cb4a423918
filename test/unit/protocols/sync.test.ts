import { assert, integer, property } from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DocId } from '../../../crdt/ids.ts'
import { encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import {
  batches,
  decodeSync,
  encodeSync,
  SYNC_FRAME_BYTES_MAX,
  vectorParts,
  VectorsReader,
  type SyncMessage,
  type Vectors,
} from '../../../protocols/sync.ts'
import { identity } from '../../support/identity.ts'

const peers = Array.from({ length: 40 }, (_, n) => identity(n).peer)
const docs = Array.from({ length: 1200 }, (_, n) => `project/${n.toString(16).padStart(36, '0')}` as DocId)

const at = (seq: number) => ({ seq, hash: new Uint8Array(32).fill(seq % 251) })

function throughTheWire(vectors: Vectors): { parts: number; read: Vectors | undefined } {
  const reader = new VectorsReader()
  const frames = vectorParts(vectors, [], false).map(encodeSync)
  let read: Vectors | undefined
  for (const frame of frames) {
    expect(frame.byteLength).toBeLessThanOrEqual(SYNC_FRAME_BYTES_MAX)
    const message = decodeSync(frame)
    if (message?.t !== 'vectors') throw new Error('not vectors')
    read = reader.push(message)
  }
  return { parts: frames.length, read }
}

describe('sync messages', () => {
  it('[M16] carries vectors of any size whole, in frames within the limit', () => {
    assert(
      property(integer({ min: 0, max: 1200 }), integer({ min: 0, max: 40 }), (docCount, peerCount) => {
        const vectors = new Map(
          docs
            .slice(0, docCount)
            .map(
              (doc, d) => [doc, new Map(peers.slice(0, peerCount).map((peer, p) => [peer, at(d * p + 1)]))] as const,
            ),
        )
        expect(throughTheWire(vectors).read).toEqual(vectors)
      }),
      { numRuns: 12 },
    )
  })

  it('[M16] needs several parts for a large mesh', () => {
    const vectors = new Map(docs.map((doc) => [doc, new Map(peers.map((peer) => [peer, at(2 ** 40)]))] as const))
    const { parts, read } = throughTheWire(vectors)
    expect(parts).toBeGreaterThan(10)
    expect(read).toEqual(vectors)
  })

  it('refuses vectors that name unlisted authors or never end', () => {
    const [part] = vectorParts(new Map(), [], false)
    const [doc] = docs
    if (part === undefined || doc === undefined) throw new Error('nothing to send')
    expect(() => new VectorsReader().push({ ...part, docs: [[doc, [[0, 1, new Uint8Array(32)]]]] })).toThrow(
      MalformedError,
    )
    const reader = new VectorsReader()
    const endless = {
      ...part,
      authors: [...peers],
      docs: docs.map((d) => [d, []] as (typeof part.docs)[number]),
      last: false,
    }
    expect(() => {
      for (;;) reader.push(endless)
    }).toThrow('without an end')
  })

  it.each<SyncMessage>([
    { t: 'hello', versions: [1] },
    { t: 'heads', heads: [new Uint8Array(32)] },
    { t: 'records', records: [new Uint8Array([1])], last: true },
    { t: 'envelopes', envelopes: [new Uint8Array([1])], more: true },
    { t: 'beat', beat: new Uint8Array([1]) },
    { t: 'echo', boot: 1, counter: 2 },
    { t: 'peers', peers: [[identity(1).peer, ['/ip4/10.0.0.1/tcp/1']]] },
    { t: 'hash', doc: 'mesh' as DocId, at: [[identity(1).peer, 1]], hash: new Uint8Array(32) },
  ])('carries $t unchanged', (message) => expect(decodeSync(encodeSync(message))).toEqual(message))

  it('[M18] ignores what later releases add, kinds and fields', () => {
    expect(decodeSync(encodeCanonical({ v: 9, t: 'novelty', x: 1 }))).toBeUndefined()
    expect(decodeSync(encodeCanonical({ v: 9, t: 'echo', boot: 1, counter: 2, x: 1 }))).toEqual({
      t: 'echo',
      boot: 1,
      counter: 2,
    })
    expect(() => decodeSync(encodeCanonical({ v: 1, t: 'toString' }))).not.toThrow()
  })

  it.each([
    ['no message', [1, 2]],
    ['a wrong field', { v: 1, t: 'echo', boot: -1, counter: 0 }],
    ['a short hash', { v: 1, t: 'heads', heads: [new Uint8Array(31)] }],
    ['no envelope', { v: 1, t: 'envelopes', envelopes: [], more: false }],
  ])('refuses %s', (_name, value) => expect(() => decodeSync(encodeCanonical(value))).toThrow(MalformedError))

  it('cuts batches at their size, one item at least', () => {
    const sizes = [200_000, 100_000, 100_000, 300_000, 1].map((size) => new Uint8Array(size))
    expect([...batches(sizes)].map((batch) => batch.map(({ byteLength }) => byteLength))).toEqual([
      [200_000],
      [100_000, 100_000],
      [300_000],
      [1],
    ])
    expect([...batches([])]).toEqual([])
  })
})

import { join } from 'node:path'
import { openVectraIndex } from '../../node/adapters/vectra-index.ts'
import type { VectorIndex } from '../../node/ports/vector-index.ts'
import { createExactVectors } from '../support/exact-vectors.ts'
import type { Benchmark, Context, Measurement } from './benchmark.ts'
import { startChild } from './calls.ts'
import type { IndexCalls, IndexFigures } from './measured-index.ts'
import { scratchDirectory } from './mesh-lab.ts'
import { sampleVector } from './sample-chunks.ts'
import { median, timeEach } from './statistics.ts'

const DIMENSIONS = 384
const GROUP = 'project'

/** The index of chunks (words and vectors) without anything around it. */
export const context: Benchmark = async (context) => [
  ...(await words(context, 10_000)),
  ...(context.quick ? [] : await words(context, 100_000)),
  ...(await vectors(context, 1000)),
  ...(context.quick ? [] : await vectors(context, 10_000)),
]

async function words(context: Context, count: number): Promise<Measurement[]> {
  const input = { count, questions: context.quick ? 30 : 200 }
  const measure = async (program: string, args: string[] = []): Promise<IndexFigures> => {
    const child = await startChild<IndexCalls>(context, program, args)
    const figures = await child.call('measure', input)
    await child.stop()
    return figures
  }
  context.say(`words of ${count} chunks`)
  const own = await measure('chunk-index', [join(await scratchDirectory(context), 'chunks.db')])
  const peer = await measure('minisearch-index')
  const among = `${count.toLocaleString('en-US')} chunks`
  const versus = (value: number) => ({ name: 'minisearch', value })
  return [
    { what: `${among} into the index of words`, unit: 'per s', rookery: own.perSecond, peer: versus(peer.perSecond) },
    { what: `words found among ${among}, p50`, unit: 'µs', rookery: own.searchMicros, peer: versus(peer.searchMicros) },
    { what: `memory for the index of ${among}`, unit: 'MB', rookery: own.memoryMb, peer: versus(peer.memoryMb) },
  ]
}

async function vectors(context: Context, count: number): Promise<Measurement[]> {
  context.say(`${count} vectors`)
  const own = await measureVectors(context, count, await openVectraIndex(await scratchDirectory(context)))
  const peer = await measureVectors(context, count, createExactVectors(2 * count))
  const among = `${count.toLocaleString('en-US')} vectors of ${DIMENSIONS} numbers`
  const versus = (value: number) => ({ name: 'a scan in memory', value })
  return [
    { what: `nearest of ${among} (vectra), p50`, unit: 'µs', rookery: own.query, peer: versus(peer.query) },
    { what: `one more with ${among} (vectra), p50`, unit: 'ms', rookery: own.insert / 1000 },
  ]
}

async function measureVectors(context: Context, count: number, index: VectorIndex) {
  const item = (n: number) => ({ id: String(n), group: GROUP, vector: sampleVector(DIMENSIONS, n) })
  const inserts = context.quick ? 3 : 7
  await index.put(Array.from({ length: count - inserts }, (_, n) => item(n)))
  const insert = median(await timeEach(inserts, (n) => index.put([item(count - inserts + n)])))
  const query = median(
    await timeEach(context.quick ? 20 : 100, (n) => index.nearest(sampleVector(DIMENSIONS, -n - 1), [GROUP], 10)),
  )
  return { insert, query }
}

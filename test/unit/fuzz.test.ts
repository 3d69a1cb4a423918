import { describe, expect, it } from 'vitest'
import { feed, fuzz } from '../fuzz/fuzz.ts'
import { decodingSites } from '../fuzz/sites.ts'
import { OUT_OF_REACH, TARGETS } from '../fuzz/targets.ts'
import type { Target } from '../fuzz/target.ts'
import { fuzzWatched } from '../fuzz/watched.ts'

const IS_LONG = process.env.ROOKERY_LONG === '1'
const INPUTS = IS_LONG ? 1_000_000 : 12_000
/** Compiled code and caches of the runtime; a leak of one small object per input is far beyond it. */
const GROWTH_BYTES_MAX = 16 * 1024 * 1024
/** New inputs every day in the long run; the short one is the same everywhere. */
const SEED = IS_LONG ? Math.floor(Date.now() / 86_400_000) : 1

describe('decoders of what comes from elsewhere', () => {
  it('[A-C2] are all in the table of the fuzzer', () => {
    const listed = [...TARGETS.flatMap(({ sites }) => sites), ...Object.keys(OUT_OF_REACH)]
    expect(decodingSites()).toEqual([...new Set(listed)].toSorted())
  })

  it.each(TARGETS.map((target): [string, Target] => [target.name, target]))(
    '[A-C2] take every sample: %s',
    async (_, target) => {
      const outcomes = await Promise.all(target.samples.map((sample) => feed(target, sample)))
      expect(outcomes).toEqual(target.samples.map(() => 'accepted'))
    },
  )

  it(
    `[A-C2] neither break, hang nor grow by ${INPUTS.toLocaleString('en')} inputs of seed ${SEED}`,
    async () => {
      const report = await fuzzWatched({ seed: SEED, from: 0, inputs: INPUTS })
      if ('hangsAt' in report)
        throw new Error(`hangs: node test/fuzz/main.ts --seed ${SEED} --from ${report.hangsAt} --inputs 1`)
      expect(report.crashes).toEqual([])
      expect(report.grownBytes).toBeLessThan(GROWTH_BYTES_MAX)
      // Mutations that are always refused at the door would test the door alone.
      expect(TARGETS.filter(({ name }) => report.accepted[name] === undefined).map(({ name }) => name)).toEqual([])
    },
    30 * 60_000,
  )
})

describe('the fuzzer', () => {
  const fragile = (take: Target['take']): Target => ({
    name: 'fragile',
    reach: 'a member',
    sites: [],
    form: 'bytes',
    samples: [new Uint8Array(64)],
    take,
    isRefusal: () => false,
  })

  it('[A-C2] finds a decoder that breaks, and finds it again by its number', async () => {
    const target = fragile((bytes) => {
      if (bytes[3] === 0x10) throw new TypeError('broken')
    })
    const inputOf = (crash: string | undefined): string | undefined => crash?.split('\n').at(-1)
    const { crashes } = await fuzz({ targets: [target], seed: 5, from: 0, inputs: 2000 })
    expect(crashes[0]).toContain('TypeError: broken')
    const index = Number(/input ([0-9]+)/.exec(crashes[0]!)?.[1])
    const again = await fuzz({ targets: [target], seed: 5, from: index, inputs: 1 })
    expect(again.crashes.map(inputOf)).toEqual([inputOf(crashes[0])])
  })

  it('[A-C2] finds a decoder that keeps what it was given', async () => {
    const kept: number[][] = []
    const target = fragile(() => void kept.push(Array.from({ length: 500 }, (_, i) => i)))
    const { grownBytes } = await fuzz({ targets: [target], seed: 5, from: 0, inputs: 20_000 })
    expect(grownBytes).toBeGreaterThan(GROWTH_BYTES_MAX)
  })
})

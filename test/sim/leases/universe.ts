import type { Resource } from '../../../protocols/lease/messages.ts'
import type { Prng } from '../ports/prng.ts'

/** A set of things that can be fought for, as bits: two resources overlap exactly when their masks share one. */
export type Mask = number

const DIRECTORIES = 2
export const FILES_MAX = 3

const directory = (n: number): Resource => ({ kind: 'path', key: `d${n}`, mode: 'subtree' })
/** One of the files that everybody wants. */
export const hotFile = (n: number): Resource => ({ kind: 'path', key: `d${n % DIRECTORIES}/f${n}`, mode: 'exact' })

/** The whole tree: what a liveness probe asks for. */
export const EVERYTHING: Resource = { kind: 'path', key: '', mode: 'subtree' }

const fileBit = (n: number): Mask => 1 << n
/** What else there may be in a directory. */
const restBit = (n: number): Mask => 1 << (FILES_MAX + n)

const MASKS = new Map<string, Mask>()
for (let n = 0; n < FILES_MAX; n++) MASKS.set(hotFile(n).key, fileBit(n))
for (let d = 0; d < DIRECTORIES; d++) {
  let mask = restBit(d)
  for (let n = d; n < FILES_MAX; n += DIRECTORIES) mask |= fileBit(n)
  MASKS.set(directory(d).key, mask)
}
MASKS.set(EVERYTHING.key, (1 << (FILES_MAX + DIRECTORIES)) - 1)

export function maskOf(resources: readonly Resource[]): Mask {
  let mask = 0
  for (const { key } of resources) {
    const bits = MASKS.get(key)
    if (bits === undefined) throw new RangeError(`nobody should ask for ${key}`)
    mask |= bits
  }
  return mask
}

export function* leavesOf(mask: Mask): Generator<number> {
  for (let leaf = 0; mask >> leaf > 0; leaf++) if ((mask >> leaf) & 1) yield leaf
}

/** 60 % one file, 20 % a directory, 20 % several things at once. */
export function drawResources(prng: Prng, hotFiles: number): Resource[] {
  const kind = prng.fraction()
  if (kind < 0.6) return [hotFile(prng.int(0, hotFiles - 1))]
  if (kind < 0.8) return [directory(prng.int(0, DIRECTORIES - 1))]
  const all = Array.from({ length: hotFiles }, (_, n) => hotFile(n))
  const some = all.filter(() => prng.chance(0.7))
  if (prng.chance(0.3)) some.push(directory(prng.int(0, DIRECTORIES - 1)))
  return some.length > 0 ? some : all
}

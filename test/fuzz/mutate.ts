import { decode } from 'cborg'
import { encodeCanonical } from '../../protocols/codec.ts'
import type { Target } from './target.ts'
import { jsonOf, textOf } from './target.ts'

/** Numbers from 0 to below 1; the same for the same seed. */
export type Dice = {
  below(count: number): number
  pick<T>(from: readonly T[]): T
}

export function createDice(seed: number): Dice {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count: number): number => Math.floor(next() * count)
  return {
    below,
    pick(from) {
      const one = from[below(from.length)]
      if (one === undefined) throw new Error('nothing to pick from')
      return one
    },
  }
}

/** The longest input: more than any frame may have costs only time. */
const BYTES_MAX = 256 * 1024

/** A sample that was made worse in one to three ways, or noise. */
export function mutated(target: Target, dice: Dice): Uint8Array {
  if (dice.below(16) === 0) return noise(dice, dice.below(512))
  let bytes = Uint8Array.from(dice.pick(target.samples))
  if (dice.below(2) === 0) bytes = rebuilt(target, bytes, dice)
  const times = dice.below(3)
  for (let i = 0; i < times; i++) bytes = dice.pick(WAYS)(bytes, dice, target)
  return bytes.subarray(0, BYTES_MAX)
}

type Way = (bytes: Uint8Array<ArrayBuffer>, dice: Dice, target: Target) => Uint8Array<ArrayBuffer>

const flipBits: Way = (bytes, dice) => {
  const flipped = bytes.slice()
  for (let i = dice.below(8); i >= 0 && flipped.length > 0; i--) {
    const at = dice.below(flipped.length)
    flipped[at] = (flipped[at] ?? 0) ^ (1 << dice.below(8))
  }
  return flipped
}

const truncate: Way = (bytes, dice) => bytes.slice(0, dice.below(bytes.length + 1))

const splice: Way = (bytes, dice, { samples }) => {
  const other = dice.pick(samples)
  return joined(bytes.subarray(0, dice.below(bytes.length + 1)), other.subarray(dice.below(other.length + 1)))
}

const repeat: Way = (bytes, dice) => {
  const from = dice.below(bytes.length + 1)
  const part = bytes.subarray(from, from + dice.below(64))
  return joined(bytes.subarray(0, from), ...Array.from({ length: dice.below(64) }, () => part), bytes.subarray(from))
}

/** Heads that promise more than comes: strings, lists and maps of CBOR, 32-bit lengths, long varints. */
const PROMISES = [
  [0x5b, 0, 0, 0, 1, 0, 0, 0, 0],
  [0x7a, 0xff, 0xff, 0xff, 0xff],
  [0x9b, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x9a, 0x7f, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0x5f],
  [0x9f],
  [0xbf],
  [0xf9, 0x7e, 0],
]
const inflate: Way = (bytes, dice) => {
  const at = dice.below(bytes.length + 1)
  const promise = Uint8Array.from(dice.pick(PROMISES))
  return joined(bytes.subarray(0, at), promise, bytes.subarray(at + (dice.below(2) === 0 ? 0 : promise.length)))
}

/** One of: an array in an array, a map in a map, a tag of a tag; the same for JSON. */
const OPENINGS = [[0x81], [0xa1, 0x61, 0x61], [0xc1], [0x5b], [0x7b, 0x22, 0x61, 0x22, 0x3a]]
const nest: Way = (bytes, dice) => {
  const at = dice.below(bytes.length + 1)
  const opening = dice.pick(OPENINGS)
  const depth = dice.pick([1, 2, 40, 1000, 20_000])
  const all = Uint8Array.from({ length: depth * opening.length }, (_, i) => opening[i % opening.length] ?? 0)
  return joined(bytes.subarray(0, at), all, bytes.subarray(at))
}

const WAYS: readonly Way[] = [flipBits, flipBits, truncate, splice, repeat, inflate, nest]

/** Takes the sample apart and puts something else in one place: another type, too much, a name with a meaning. */
function rebuilt(target: Target, bytes: Uint8Array<ArrayBuffer>, dice: Dice): Uint8Array<ArrayBuffer> {
  if (target.form === 'bytes') return bytes
  try {
    const value: unknown = target.form === 'json' ? JSON.parse(textOf(bytes)) : decode(bytes)
    const changed = changedIn(value, dice)
    return Uint8Array.from(target.form === 'json' ? jsonOf(changed) : encodeCanonical(changed))
  } catch {
    return bytes // a value that has no encoding of this kind
  }
}

function changedIn(value: unknown, dice: Dice): unknown {
  const isLeaf = typeof value !== 'object' || value === null || value instanceof Uint8Array
  if (isLeaf || dice.below(6) === 0) return dice.pick(CONFUSIONS)(dice)
  if (Array.isArray(value)) {
    const list: unknown[] = [...value]
    const at = dice.below(list.length + 1)
    list[at] = changedIn(list[at], dice)
    return list
  }
  const entries = Object.entries(value)
  const chosen = dice.below(entries.length + 1)
  if (chosen === entries.length) return { ...value, [dice.pick(NAMES)]: dice.pick(CONFUSIONS)(dice) }
  return Object.fromEntries(
    entries
      .filter((_, i) => i !== chosen || dice.below(5) > 0)
      .map(([name, inner], i) => (i === chosen ? [name, changedIn(inner, dice)] : [name, inner])),
  )
}

const NAMES = ['constructor', 'prototype', 'toString', 'v', '', 'x'.repeat(300)]
const CONFUSIONS: readonly ((dice: Dice) => unknown)[] = [
  () => null,
  () => true,
  () => -1,
  () => Number.MAX_SAFE_INTEGER,
  () => 1.5,
  () => '',
  () => '__proto__',
  (dice) => 'é'.repeat(dice.below(3000)),
  (dice) => noise(dice, dice.below(100)),
  () => new Uint8Array(32),
  () => [],
  () => ({}),
  (dice) => Array.from({ length: dice.below(3000) }, (_, i) => i),
  (dice) => Object.fromEntries(Array.from({ length: dice.below(500) }, (_, i) => [`k${i}`, i])),
  (dice) => {
    let deep: unknown = 0
    for (let i = dice.below(200); i >= 0; i--) deep = [deep]
    return deep
  },
]

const noise = (dice: Dice, length: number): Uint8Array<ArrayBuffer> =>
  Uint8Array.from({ length }, () => dice.below(256))

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** What is told of an input that broke something. */
export const shown = (bytes: Uint8Array): string =>
  bytes.length <= 200 ? Buffer.from(bytes).toString('hex') : `${Buffer.from(bytes.subarray(0, 200)).toString('hex')}…`

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createDice, mutated, shown } from './mutate.ts'
import type { Target } from './target.ts'

export type FuzzOptions = {
  readonly targets: readonly Target[]
  readonly seed: number
  readonly from: number
  readonly inputs: number
  /** Called before each input: a watcher sees by it that things go on, and where they do not. */
  readonly onInput?: (index: number) => void
}

export type FuzzReport = {
  readonly inputs: number
  /** Inputs that were taken as they were, by target: a fuzzer that only makes noise tests little. */
  readonly accepted: Readonly<Record<string, number>>
  readonly crashes: readonly string[]
  /** Of the heap, after collection, between an early look and the end. */
  readonly grownBytes: number
  readonly slowest: { readonly index: number; readonly target: string; readonly ms: number }
}

/** More of them say nothing new. */
const CRASHES_MAX = 20
/** The heap is looked at first when everything has been compiled and cached. */
const WARM_SHARE = 0.2

/** Runs inputs `from` to `from + inputs`: input number n of a seed is always the same, for the same table. */
export async function fuzz({ targets, seed, from, inputs, onInput }: FuzzOptions): Promise<FuzzReport> {
  const accepted: Record<string, number> = {}
  const crashes: string[] = []
  let slowest = { index: 0, target: '', ms: 0 }
  const warmAt = from + Math.floor(inputs * WARM_SHARE)
  let warmBytes = heapBytes()
  for (let index = from; index < from + inputs && crashes.length < CRASHES_MAX; index++) {
    if (index === warmAt) warmBytes = heapBytes()
    onInput?.(index)
    const target = targets[index % targets.length]
    if (!target) throw new Error('no targets')
    const bytes = mutated(target, createDice(Math.imul(seed, 0x9e3779b1) + Math.imul(index, 0x85ebca6b)))
    const startMs = performance.now()
    const outcome = await feed(target, bytes)
    const ms = performance.now() - startMs
    if (ms > slowest.ms) slowest = { index, target: target.name, ms }
    if (outcome === 'accepted') accepted[target.name] = (accepted[target.name] ?? 0) + 1
    else if (outcome !== 'refused')
      crashes.push(`${target.name}, input ${index} of seed ${seed}: ${outcome}\n  ${shown(bytes)}`)
  }
  return { inputs, accepted, crashes, grownBytes: heapBytes() - warmBytes, slowest }
}

/** `accepted`, `refused`, or what went wrong. */
export async function feed({ take, isRefusal }: Target, bytes: Uint8Array): Promise<string> {
  try {
    const result = await take(bytes)
    return result === undefined || result === false ? 'refused' : 'accepted'
  } catch (error) {
    if (isRefusal(error)) return 'refused'
    return error instanceof Error ? (error.stack ?? error.message).split('\n').slice(0, 3).join('\n') : String(error)
  }
}

setFlagsFromString('--expose-gc')
const collect: unknown = runInNewContext('gc')

function heapBytes(): number {
  if (typeof collect === 'function') collect()
  return process.memoryUsage().heapUsed
}

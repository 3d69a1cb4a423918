import { readdirSync, readlinkSync } from 'node:fs'
import type { RunningNode } from '../support/nodes.ts'
import { parseMetrics } from '../support/prometheus-text.ts'

/** What one process of a node took at one moment. */
export type Sample = {
  readonly atMs: number
  readonly pid: number
  readonly rssMb: number
  readonly heapMb: number
  /** Sockets, pipes, terminals, timers: not the files of the store, which it opens and closes as it grows. */
  readonly handles: number
  readonly storeMb: number
  readonly loopDelayMaxMs: number
  readonly envelopes: number
}

/** Undefined while the node does not answer. */
export async function sampleOf(node: RunningNode): Promise<Sample | undefined> {
  const pid = node.process.pid ?? 0
  try {
    const response = await fetch(`${node.http}/metrics`, { signal: AbortSignal.timeout(5000) })
    const seen = parseMetrics(await response.text())
    const value = (name: string, labels = {}): number => seen.value(name, labels) ?? Number.NaN
    const stores = Object.values(seen.by('rookery_store_bytes', 'store'))
    return {
      atMs: performance.now(),
      pid,
      rssMb: value('rookery_process_resident_memory_bytes') / MB,
      heapMb: value('rookery_process_heap_used_bytes') / MB,
      handles: handlesOf(pid),
      storeMb: stores.reduce((sum, bytes) => sum + bytes, 0) / MB,
      loopDelayMaxMs: value('rookery_event_loop_delay_seconds', { quantile: '1' }) * 1000,
      envelopes: value('rookery_document_envelopes'),
    }
  } catch {
    return undefined // killed, stopped or starting
  }
}

const MB = 1024 * 1024

/** Open descriptors that are no files. */
export function handlesOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return !readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('/')
    } catch {
      return false // closed meanwhile
    }
  }).length
}

/** Least squares, per hour. NaN with fewer than three samples. */
export function slopePerHour(samples: readonly Sample[], value: (sample: Sample) => number): number {
  if (samples.length < 3) return Number.NaN
  const hours = samples.map(({ atMs }) => atMs / 3_600_000)
  const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length
  const [meanX, meanY] = [mean(hours), mean(samples.map(value))]
  const top = samples.reduce((sum, sample, i) => sum + ((hours[i] ?? 0) - meanX) * (value(sample) - meanY), 0)
  const bottom = hours.reduce((sum, x) => sum + (x - meanX) ** 2, 0)
  return top / bottom
}

/** The samples of the process that was there at the end, from `fromMs` on. */
export function lastLife(samples: readonly Sample[], fromMs: number): readonly Sample[] {
  const last = samples.at(-1)?.pid
  return samples.filter(({ pid, atMs }) => pid === last && atMs >= fromMs)
}

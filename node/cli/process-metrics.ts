import { readdir } from 'node:fs/promises'
import type { EventLoopWatch } from '../adapters/event-loop-watch.ts'
import type { Cancel } from '../ports/clock.ts'
import type { Metrics } from '../ports/metrics.ts'
import { rookeryVersion } from './version.ts'

/** What this process costs. */
export function meterProcess(metrics: Metrics, eventLoop: EventLoopWatch): Cancel {
  const version = rookeryVersion()
  const cancels = [
    metrics.onLook('rookery_build_info', () => [[1, { version }]]),
    metrics.onLook('rookery_event_loop_delay_seconds', () => {
      const { p50Ms, p99Ms, maxMs } = eventLoop.delay()
      return [
        [p50Ms / 1000, { quantile: '0.5' }],
        [p99Ms / 1000, { quantile: '0.99' }],
        [maxMs / 1000, { quantile: '1' }],
      ]
    }),
    metrics.onLook('rookery_process_resident_memory_bytes', () => [[process.memoryUsage.rss(), {}]]),
    metrics.onLook('rookery_process_heap_used_bytes', () => [[process.memoryUsage().heapUsed, {}]]),
    metrics.onLook('rookery_process_open_fds', async () => [[await openDescriptors(), {}]]),
    metrics.onLook('rookery_process_cpu_seconds_total', () => {
      const { user, system } = process.cpuUsage()
      return [[(user + system) / 1e6, {}]]
    }),
    metrics.onLook('rookery_process_start_time_seconds', () => [[performance.timeOrigin / 1000, {}]]),
  ]
  return () => {
    for (const cancel of cancels) cancel()
  }
}

/** NaN, which is not shown, where the system does not tell. The directory itself is open while it is read. */
export async function openDescriptors(): Promise<number> {
  const open = await readdir('/proc/self/fd').catch(() => undefined)
  return open === undefined ? Number.NaN : open.length - 1
}

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { SharedTicks } from '../../../node/adapters/shared-ticks.ts'

/* The only thing here that is about timers themselves, so they are Node's under a clock that is moved by hand. */
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

it('runs periodic tasks together, whenever they began', () => {
  const ticks = new SharedTicks(() => performance.now())
  const runs: [string, number][] = []
  vi.advanceTimersByTime(130)
  ticks.every(1000, () => runs.push(['a', performance.now()]))
  vi.advanceTimersByTime(200)
  ticks.every(2900, () => runs.push(['b', performance.now()]))
  vi.advanceTimersByTime(4000)
  expect(runs.map(([name, ms]) => `${name} ${Math.round(ms / 1000)}`)).toEqual([
    'a 1',
    'a 2',
    'b 2',
    'a 3',
    'a 4',
    'b 4',
  ])
  expect(new Set(runs.map(([, ms]) => ms)).size).toBe(4)
})

it('skips what it has missed, and stops when told to', () => {
  const ticks = new SharedTicks(() => performance.now())
  let runs = 0
  const cancel = ticks.every(1000, () => {
    runs++
    if (runs === 2) cancel()
  })
  vi.advanceTimersByTime(1000)
  expect(runs).toBe(1)
  vi.advanceTimersByTime(5000)
  expect([runs, vi.getTimerCount()]).toEqual([2, 0])
})

it('leaves to others what comes more often than once a second', () => {
  const ticks = new SharedTicks(() => performance.now())
  expect([ticks.takes(999), ticks.takes(1000)]).toEqual([false, true])
})

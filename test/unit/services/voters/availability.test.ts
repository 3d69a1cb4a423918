import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  addMinutes,
  availabilityOf,
  HOURS_KEPT,
  type ObservedHour,
} from '../../../../node/services/voters/availability.ts'
import { AVAILABILITY_FACT, watchAvailability } from '../../../../node/services/voters/availability-watch.ts'
import type { PresenceState } from '../../../../node/services/sync/presence.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { createManualClock } from '../../../support/clock.ts'
import { identity } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const [self, other, third] = [0, 1, 2].map((n) => identity(n).peer) as [never, never, never]

/** A node that watches another one. Nothing but the clock and the store outlives a restart. */
function createWatcher() {
  const clock = createManualClock()
  const store = createMemoryStore()
  const log = createRecordedLog()
  const states = new Map<string, PresenceState>([[other, 'online']])
  const members = new Set([self, other])
  const presence = { state: (peer: string) => states.get(peer) ?? 'gone' }
  const start = () => watchAvailability({ self, store, members: () => members, presence, clock, log })
  return { clock, store, log, states, members, start }
}

describe('minutes observed', () => {
  it('add up, and the oldest hours make room for a week', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(400), fc.boolean()), { maxLength: 60 }), (spans) => {
        let hours: readonly ObservedHour[] = []
        const minutes: boolean[] = []
        for (const [count, isReached] of spans) {
          hours = addMinutes(hours, count, isReached)
          minutes.push(...Array.from({ length: count }, () => isReached))
        }
        const kept = minutes.slice(Math.max(0, Math.ceil(minutes.length / 60) - HOURS_KEPT) * 60)
        expect(hours.every(({ observed, reached }) => observed >= 1 && observed <= 60 && reached <= observed)).toBe(
          true,
        )
        expect(availabilityOf(hours)).toEqual({
          observedMinutes: kept.length,
          share: kept.length === 0 ? null : kept.filter(Boolean).length / kept.length,
        })
      }),
    )
  })

  it('are bounded, however long the absence', () => {
    const hours = addMinutes([], Number.MAX_SAFE_INTEGER, false)
    expect([hours.length, availabilityOf(hours).share]).toEqual([HOURS_KEPT, 0])
  })
})

describe('the record of how reachable others are', () => {
  it('counts a minute once a minute, reached while online or just late', async () => {
    const { clock, states, start } = createWatcher()
    const watch = await start()
    for (const state of ['online', 'stale', 'away', 'gone'] as const) {
      states.set(other, state)
      await clock.advance(15 * MINUTE)
    }
    expect(watch.of(other)).toEqual({ observedMinutes: 60, share: 0.5 })
    expect(watch.of(self)).toEqual({ observedMinutes: 60, share: 1 })
    expect(watch.of(third)).toEqual({ observedMinutes: 0, share: null })
  })

  it('counts the time this node slept against nobody but itself', async () => {
    const { clock, states, start } = createWatcher()
    const watch = await start()
    await clock.advance(30 * MINUTE)
    clock.suspend(5 * HOUR)
    // Right after waking, nobody has been heard yet.
    states.set(other, 'away')
    await clock.advance(MINUTE)
    states.set(other, 'online')
    await clock.advance(29 * MINUTE)
    expect(watch.of(other)).toEqual({ observedMinutes: 59, share: 1 })
    expect(watch.of(self)).toEqual({ observedMinutes: 59 + 301, share: 59 / 360 })
  })

  it('survives a restart, and counts the time this node was down against nobody but itself', async () => {
    const { clock, start } = createWatcher()
    const first = await start()
    await clock.advance(HOUR)
    await first.stop()
    await clock.advance(3 * HOUR)
    const second = await start()
    expect(second.of(other)).toEqual({ observedMinutes: 60, share: 1 })
    expect(second.of(self)).toEqual({ observedMinutes: 240, share: 0.25 })
    await clock.advance(HOUR)
    expect(second.of(other).observedMinutes).toBe(120)
  })

  it('is saved every ten minutes, for a node that is killed', async () => {
    const { clock, start } = createWatcher()
    await start()
    await clock.advance(19 * MINUTE)
    expect((await start()).of(other).observedMinutes).toBe(10)
  })

  it('takes no absence from a clock that was set back', async () => {
    const { clock, start } = createWatcher()
    const first = await start()
    await clock.advance(HOUR)
    await first.stop()
    clock.stepWall(-24 * HOUR)
    expect((await start()).of(self)).toEqual({ observedMinutes: 60, share: 1 })
  })

  it('forgets who is no member any more', async () => {
    const { clock, members, start } = createWatcher()
    const watch = await start()
    await clock.advance(HOUR)
    members.delete(other)
    await clock.advance(MINUTE)
    expect(watch.of(other)).toEqual({ observedMinutes: 0, share: null })
  })

  it('stops when it is told to', async () => {
    const { clock, start } = createWatcher()
    const watch = await start()
    await watch.stop()
    await clock.advance(HOUR)
    expect(watch.of(other).observedMinutes).toBe(0)
  })

  it('starts anew where it cannot be read, and goes on where it cannot be saved', async () => {
    const { clock, store, log, start } = createWatcher()
    await store.putFact(AVAILABILITY_FACT, encodeCanonical({ v: 2 }))
    const watch = await start()
    await clock.advance(5 * MINUTE)
    await store.close()
    await clock.advance(5 * MINUTE)
    await watch.stop()
    expect(watch.of(other)).toEqual({ observedMinutes: 10, share: 1 })
    expect(log.lines.length).toBeGreaterThan(0)
  })
})

import { expect, it } from 'vitest'
import { watchHost } from '../../../node/p2p/watch-host.ts'
import { createManualClock } from '../../support/clock.ts'

it('[D13] notices within 5 s that the host was suspended, once', async () => {
  const clock = createManualClock()
  let changes = 0
  const cancel = watchHost(clock, () => changes++)
  await clock.advance(60_000)
  expect(changes).toBe(0)
  clock.suspend(3600_000)
  await clock.advance(5000)
  expect(changes).toBe(1)
  await clock.advance(60_000)
  expect(changes).toBe(1)
  cancel()
})

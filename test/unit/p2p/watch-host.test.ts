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

it('[D13] notices within 5 s that the host has another address, but not that a container has come or gone', async () => {
  const clock = createManualClock()
  let hosts = ['127.0.0.1', '192.168.1.7', 'fe80::1']
  let changes = 0
  const cancel = watchHost(
    clock,
    () => changes++,
    () => hosts,
  )
  hosts = [...hosts, 'fe80::384a:85ff:fef2:e68']
  await clock.advance(5000)
  hosts = hosts.slice(0, 3)
  await clock.advance(5000)
  expect(changes).toBe(0)
  hosts = ['127.0.0.1', '10.0.0.7', 'fe80::1']
  await clock.advance(5000)
  expect(changes).toBe(1)
  cancel()
})

import { expect, it } from 'vitest'
import { createSyncBudget } from '../../../../node/services/sync/sync-budget.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { peerOf } from '../../../support/libp2p-nodes.ts'

const [flooder, honest] = [peerOf(1), peerOf(2)]

function createLab() {
  const clock = createManualClock()
  const exceeded: string[] = []
  let busyMs = 0
  const budget = createSyncBudget({ clock, busyMs: () => busyMs, onExceeded: (peer) => exceeded.push(peer) })
  const work =
    (ms: number, was: 'useful' | 'in vain', waitsMs = 0) =>
    async () => {
      busyMs += ms
      await clock.advance(ms + waitsMs)
      return was
    }
  /** Whether the peer may go on by now. */
  const isReady = async (peer: typeof flooder): Promise<boolean> => {
    let ready = false
    void budget.ready(peer).then(() => (ready = true))
    await settle()
    return ready
  }
  return { clock, exceeded, budget, work, isReady }
}

it('[A-D1] lets a member take up two seconds in vain, then makes it wait and says so', async () => {
  const { exceeded, budget, work, isReady } = createLab()
  for (let i = 0; i < 2; i++) await budget.spend(flooder, work(1000, 'in vain'))
  expect(await isReady(flooder)).toBe(true)
  await budget.spend(flooder, work(1000, 'in vain'))
  expect([await isReady(flooder), await isReady(honest), exceeded]).toEqual([false, true, [flooder]])
})

it('[A-D1] never makes anybody wait for what was useful', async () => {
  const { budget, work, isReady, exceeded } = createLab()
  for (let i = 0; i < 100; i++) await budget.spend(flooder, work(1000, 'useful'))
  expect([await isReady(flooder), exceeded]).toEqual([true, []])
})

it('[A-D1] charges nobody for what a busy host, or a slow disk, takes', async () => {
  const { budget, work, isReady, exceeded } = createLab()
  for (let i = 0; i < 100; i++) await budget.spend(honest, work(15, 'in vain', 1000))
  expect([await isReady(honest), exceeded]).toEqual([true, []])
})

it('[A-D1] charges members whose messages are dealt with at once for as much as was worked, not each for all of it', async () => {
  const { budget, work, isReady, exceeded } = createLab()
  const inVain = (ms: number) => async () => {
    await settle()
    const was = await work(ms, 'in vain')()
    await settle()
    return was
  }
  await Promise.all([budget.spend(honest, inVain(100)), budget.spend(flooder, inVain(3000))])
  expect([await isReady(honest), exceeded]).toEqual([true, []])
  await Promise.all([budget.spend(honest, inVain(100)), budget.spend(flooder, inVain(3000))])
  expect([await isReady(flooder), exceeded]).toEqual([false, [flooder]])
})

it('[A-D1] lets it go on after at most five seconds, and gives a fiftieth of the time back', async () => {
  const { clock, budget, work, isReady } = createLab()
  await budget.spend(flooder, work(100_000, 'in vain'))
  let ready = false
  void budget.ready(flooder).then(() => (ready = true))
  await clock.advance(4999)
  expect(ready).toBe(false)
  await clock.advance(1)
  expect(ready).toBe(true)
  await clock.advance(5_000_000)
  expect(await isReady(flooder)).toBe(true)
})

it('[D12] forgets a member that is gone', async () => {
  const { budget, work, isReady } = createLab()
  await budget.spend(flooder, work(100_000, 'in vain'))
  budget.forget(flooder)
  expect(await isReady(flooder)).toBe(true)
})

import { expect, it } from 'vitest'
import { sayGoodbyeBeforeSleep } from '../../../../node/services/sync/sleep-goodbye.ts'
import { createManualClock } from '../../../support/clock.ts'

function create() {
  const clock = createManualClock()
  const said: string[] = []
  const host: { sleep?: () => Promise<void> } = {}
  const cancel = sayGoodbyeBeforeSleep({
    clock,
    presence: { suspend: () => void said.push('sleep'), resume: () => void said.push('beat') },
    hostSleep: { onSleep: (beforeSleep) => ((host.sleep = beforeSleep), () => void said.push('let go')) },
  })
  const goToSleep = async (): Promise<void> => {
    const ready = host.sleep?.()
    await clock.advance(200)
    await ready
  }
  return { clock, said, goToSleep, cancel }
}

it('says goodbye before the host sleeps, and is there again a second after it has woken', async () => {
  const { clock, said, goToSleep } = create()
  await goToSleep()
  expect(said).toEqual(['sleep'])
  clock.suspend(3600_000)
  await clock.advance(1000)
  expect(said).toEqual(['sleep', 'beat'])
  await clock.advance(60_000)
  expect(said).toHaveLength(2)
})

it('is there again after ten seconds if the host did not sleep after all, and not when it was stopped', async () => {
  const { clock, said, goToSleep, cancel } = create()
  await goToSleep()
  await clock.advance(9000)
  expect(said).toEqual(['sleep'])
  await clock.advance(1000)
  expect(said).toEqual(['sleep', 'beat'])
  await goToSleep()
  cancel()
  await clock.advance(60_000)
  expect(said).toEqual(['sleep', 'beat', 'sleep', 'let go'])
})

import { expect, it } from 'vitest'
import { latestOnly } from '../../../../node/services/sync/sync-answer.ts'
import { settle } from '../../../support/clock.ts'
import { createRecordedLog } from '../../../support/log.ts'

it('[M16] answers the latest question, however shortly after the end of an answer it comes', async () => {
  for (let microtasks = 0; microtasks < 10; microtasks++) {
    const answered: number[] = []
    const ask = latestOnly<number>(async (question) => void answered.push(question), createRecordedLog())
    ask(1)
    for (let i = 0; i < microtasks; i++) await Promise.resolve()
    ask(2)
    await settle()
    expect(answered).toEqual([1, 2])
  }
})

it('[M16] goes on answering after an answer that failed', async () => {
  const answered: number[] = []
  const log = createRecordedLog()
  const ask = latestOnly<number>(async (question) => {
    if (question === 1) throw new Error('no disk')
    answered.push(question)
  }, log)
  ask(1)
  await settle()
  ask(2)
  await settle()
  expect(answered).toEqual([2])
  expect(log.lines.map(({ message }) => message)).toEqual(['a peer could not be answered'])
})

import { expect, it } from 'vitest'
import type { DocId } from '../../../../crdt/ids.ts'
import { answerMoved, latestOnly, type Standing } from '../../../../node/services/sync/sync-answer.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { peerOf } from '../../../support/libp2p-nodes.ts'
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

const at = (seq: number): Standing => ({
  theirs: new Map([['mesh' as DocId, new Map([[peerOf(1), { seq, hash: new Uint8Array(32) }]])]]),
  frozen: [],
})

it('[A-D1] rests before it sends the same again, and not before whoever has moved on', async () => {
  const clock = createManualClock()
  const answered: number[] = []
  const ask = answerMoved(
    async ({ theirs }) => {
      answered.push([...(theirs.get('mesh' as DocId)?.values() ?? [])][0]?.seq ?? 0)
      await clock.advance(50)
    },
    clock,
    createRecordedLog(),
  )
  const asked = async (seq: number): Promise<number[]> => {
    ask(at(seq))
    await settle()
    return answered.splice(0)
  }
  expect([await asked(1), await asked(2), await asked(2), await asked(2)]).toEqual([[1], [2], [], []])
  await clock.advance(999)
  expect(answered).toEqual([])
  await clock.advance(1)
  await settle()
  expect(answered.splice(0)).toEqual([2])
  ask(at(2))
  await clock.advance(500)
  ask(at(3))
  await clock.advance(500)
  await settle()
  expect(answered).toEqual([3])
})

it('[A-D1] rests for two seconds at most, however long the answer took', async () => {
  const clock = createManualClock()
  let answers = 0
  const ask = answerMoved(
    async () => {
      answers += 1
      await clock.advance(60_000)
    },
    clock,
    createRecordedLog(),
  )
  ask(at(1))
  await settle()
  ask(at(1))
  await settle()
  await clock.advance(1999)
  expect(answers).toBe(1)
  await clock.advance(1)
  expect(answers).toBe(2)
})

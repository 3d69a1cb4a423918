import { expect, it } from 'vitest'
import { foldRepeats } from '../../../node/adapters/folded-log.ts'
import { createManualClock } from '../../support/clock.ts'
import { createRecordedLog } from '../../support/log.ts'

const HOUR_MS = 3_600_000

it('writes a line that is repeated about one peer once an hour, with how often it came in between', async () => {
  const [log, clock] = [createRecordedLog(), createManualClock()]
  const folded = foldRepeats(log, clock)
  for (let i = 0; i < 100; i++) {
    folded.warn({ peer: 'ada', count: i, error: `try ${i}` }, 'envelopes refused')
    await clock.advance(HOUR_MS / 50)
  }
  expect(log.lines.map(({ fields }) => fields)).toEqual([
    { peer: 'ada', count: 0, error: 'try 0' },
    { peer: 'ada', count: 50, error: 'try 50', repeated: 49 },
  ])
})

it('folds nothing that is about somebody else, says something else, or is more serious', () => {
  const log = createRecordedLog()
  const folded = foldRepeats(log, createManualClock())
  folded.warn({ peer: 'ada', reason: 'x' }, 'refused')
  folded.warn({ peer: 'bob', reason: 'x' }, 'refused')
  folded.warn({ peer: 'ada', reason: 'y' }, 'refused')
  folded.error({ peer: 'ada', reason: 'x' }, 'refused')
  folded.warn({ peer: 'ada', reason: 'x' }, 'frozen')
  for (const what of ['one bug', 'another bug', 'one bug']) folded.error({ err: new Error(what) }, 'a command failed')
  expect(log.lines).toHaveLength(7)
})

it('leaves debug lines alone: whoever asks for them wants each', () => {
  const log = createRecordedLog()
  const folded = foldRepeats(log, createManualClock())
  for (let i = 0; i < 3; i++) folded.debug({ peer: 'ada' }, 'member could not be reached')
  expect(log.lines).toHaveLength(3)
})

it('bounds what it remembers', () => {
  const log = createRecordedLog()
  const folded = foldRepeats(log, createManualClock())
  for (let i = 0; i < 1001; i++) folded.info({ peer: String(i) }, 'refused')
  folded.info({ peer: '0' }, 'refused')
  folded.info({ peer: '1000' }, 'refused')
  expect(log.lines).toHaveLength(1002)
})

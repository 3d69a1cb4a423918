import fc from 'fast-check'
import { expect, it } from 'vitest'
import { checkHistory } from '../../chaos/history-check.ts'
import type { HistoryEntry } from '../../chaos/history.ts'

const PROMISED_MS = 100

const entry = (given: Partial<HistoryEntry> & Pick<HistoryEntry, 'kind' | 'agent' | 'invokedMs'>): HistoryEntry => ({
  node: 'alpha',
  about: ['a'],
  answeredMs: given.invokedMs + 5,
  outcome: 'done',
  holds: [],
  gaveUp: [],
  ...given,
})
const lock = (agent: string, token: number, invokedMs: number, leaves = ['a']): HistoryEntry =>
  entry({ kind: 'lock', agent, invokedMs, holds: [{ leaves, token, isCertified: true }] })
const release = (agent: string, invokedMs: number, leaves = ['a']): HistoryEntry =>
  entry({ kind: 'lock_release', agent, invokedMs, gaveUp: leaves })
const found = (...entries: HistoryEntry[]): string[] =>
  checkHistory(entries, { promisedMs: PROMISED_MS }).map((text) => text.split(':')[0]!)

it('[I1] is content with leases that follow each other, by release and by running out', () => {
  expect(found(lock('x', 1, 0), release('x', 20), lock('y', 2, 26), lock('x', 3, 130))).toEqual([])
})

it('[I1] finds two holders at once', () => {
  expect(found(lock('x', 1, 0), lock('y', 2, 50))).toEqual(['two holders at once'])
})

it('[I1] finds two holders at once on a file and on the directory around it', () => {
  expect(found(lock('x', 1, 0, ['d/a', 'd/b']), lock('y', 2, 50, ['d/b']))).toEqual(['two holders at once'])
})

it('[I1] takes an answer that shows the lease again for proof that it was held until then', () => {
  const again = lock('x', 1, 300)
  expect(found(lock('x', 1, 0), lock('y', 2, 200), again)).toEqual(['two holders at once'])
  expect(found(lock('x', 1, 0), lock('y', 2, 200))).toEqual([])
})

it('[I1] does not hold a lease against an agent that began to give it up', () => {
  const unknown = { ...release('x', 20), outcome: 'unknown' } as const
  expect(found(lock('x', 1, 0), unknown, lock('y', 2, 30))).toEqual([])
  expect(found(lock('x', 1, 0), lock('y', 2, 10), unknown)).toEqual(['two holders at once'])
})

it('[I1] reckons with nothing that was never answered, and with nothing provisional', () => {
  const lost = { ...lock('x', 1, 0), outcome: 'unknown', holds: [] } as const
  const own = entry({
    kind: 'lock',
    agent: 'z',
    invokedMs: 0,
    holds: [{ leaves: ['a'], token: 9, isCertified: false }],
  })
  expect(found(lost, own, lock('y', 2, 5))).toEqual([])
})

it('[I1] does not reckon a lease from the moment it was asked for when it may be that of an earlier request', () => {
  const stray = { ...lock('x', 1, 0), outcome: 'unknown', holds: [] } as const
  expect(found(stray, lock('x', 1, 10), lock('y', 2, 60))).toEqual([])
  expect(found(stray, lock('x', 1, 10), lock('y', 2, 60), lock('x', 1, 70))).toEqual(['two holders at once'])
})

it('[I1] nor when it could not be given back, or got another token while it was held', () => {
  const refused = { ...release('x', 20), outcome: 'refused' } as const
  const held = [lock('x', 2, 60), lock('y', 3, 110)]
  expect(found(lock('x', 1, 0), refused, ...held)).toEqual([])
  expect(found(lock('x', 1, 0), ...held)).toEqual([])
  expect(found(lock('x', 1, 0), refused, ...held, lock('x', 2, 130))).toEqual(['two holders at once'])
  expect(found(lock('x', 1, 0), release('x', 20), ...held)).toEqual(['two holders at once'])
})

it('[I2] is content when an agent that holds two overlapping leases is shown the earlier one again', () => {
  const [first, second] = [lock('x', 1, 0, ['a']), lock('x', 2, 10, ['a', 'b'])]
  expect(found(first, second, release('x', 20, ['b']), lock('x', 1, 30, ['a']))).toEqual([])
})

it('[I2] finds a token that does not grow', () => {
  expect(found(lock('x', 2, 0), release('x', 10), lock('y', 1, 30))).toEqual(['tokens out of order'])
})

it('[I2] does not ask for an order of what was asked for at the same time', () => {
  const slow = { ...lock('x', 2, 0), answeredMs: 500 }
  expect(found(slow, lock('y', 1, 100))).toEqual([])
})

it('[I2] finds one token given to two', () => {
  expect(found(lock('x', 2, 0), release('x', 10), lock('y', 2, 12))).toEqual(['one token twice'])
})

it('finds a task that is completed twice, or claimed after it was completed', () => {
  const complete = (agent: string, invokedMs: number): HistoryEntry =>
    entry({ kind: 'task_complete', agent, invokedMs, about: ['t'] })
  const claim = entry({ kind: 'task_claim', agent: 'y', invokedMs: 50, about: ['t'] })
  expect(found(complete('x', 0), complete('y', 90))).toEqual(['task t was completed by x and by y'])
  expect(found(complete('x', 0), claim)).toEqual(['task t was claimed by y after it was completed'])
  expect(found({ ...complete('x', 0), outcome: 'unknown' }, claim)).toEqual([])
})

/** One lock service that never errs: whoever asks while it is held is refused. */
function soundHistory(turns: readonly { agent: number; waitMs: number; holdMs: number; lateMs: number }[]) {
  const entries: HistoryEntry[] = []
  let nowMs = 0
  for (const [i, { agent, waitMs, holdMs, lateMs }] of turns.entries()) {
    const invokedMs = nowMs + waitMs
    const taken = { ...lock(`agent-${agent}`, i + 1, invokedMs), answeredMs: invokedMs + 1 + lateMs }
    const given = release(`agent-${agent}`, taken.answeredMs + holdMs)
    nowMs = given.invokedMs
    entries.push(taken, given)
  }
  return entries
}

it('[I1] is content with every sound history, and finds the holder planted into it', () => {
  const turn = fc.record({
    agent: fc.nat(4),
    waitMs: fc.nat(50),
    holdMs: fc.integer({ min: 10, max: 60 }),
    lateMs: fc.nat(20),
  })
  fc.assert(
    fc.property(fc.array(turn, { minLength: 1, maxLength: 40 }), fc.nat(), (turns, at) => {
      const sound = soundHistory(turns)
      expect(found(...sound)).toEqual([])
      const victim = sound[2 * (at % turns.length)]!
      const planted = { ...lock('intruder', 1000, victim.answeredMs + 1), answeredMs: victim.answeredMs + 5 }
      expect(found(...sound, planted)).not.toEqual([])
    }),
  )
})

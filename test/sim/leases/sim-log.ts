import type { Log } from '../../../node/ports/log.ts'
import { describeError } from '../violations.ts'
import type { CountName } from './counts.ts'
import type { World } from './world.ts'

/** What a node may complain about when its machine or its voters break, and how often it did. */
const EXPECTED: readonly (readonly [beginning: string, count: CountName])[] = [
  ['promises of the voters before are unknown', 'waitsBegun'],
  ['The voter journal could not be written', 'votersStopped'],
  ['The disk of this voter was rolled back', 'quarantined'],
  ['a voter has signed two grants that contradict each other', 'equivocations'],
]

/** Interruptions are counted; whatever else a node calls an error or a warning has no place in a mesh of honest nodes. */
export function createSimLog(name: string, { counts, violations, trace }: World): Log {
  const complaint = (fields: object, message: string): void => {
    trace?.(`${name} complains: ${message}`)
    const expected = EXPECTED.find(([beginning]) => message.startsWith(beginning))
    if (expected) counts[expected[1]] += 1
    else violations.add('log', `${name}: ${message} ${'err' in fields ? describeError(fields.err) : ''}`)
  }
  return {
    debug: () => undefined,
    info(fields) {
      const state = 'state' in fields ? fields.state : undefined
      if (state === 'suspended' || state === 'resumed' || state === 'lost' || state === 'retokened') counts[state] += 1
    },
    warn: complaint,
    error: complaint,
  }
}

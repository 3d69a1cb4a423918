import type { Capability } from '../../../../crdt/capability.ts'
import { ok } from '../../../../crdt/result.ts'
import { AVAILABILITY_FACT, watchAvailability } from '../../../../node/services/voters/availability-watch.ts'
import { createElectorateService, type ElectorateDeps } from '../../../../node/services/voters/electorate-service.ts'
import { isEligible, suggestVoters } from '../../../../node/services/voters/voter-suggestion.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { createManualClock } from '../../../support/clock.ts'
import { peer } from '../../../support/lease-lab.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import type { Report, Scenario } from '../scenario.ts'

export const electorateScenarios: readonly Scenario[] = [
  { id: 'who-should-vote', says: 'Voters are suggested that are there, and never fewer than now.', run: suggested },
  { id: 'who-was-there', says: 'A node says of others only what it has seen while it was awake.', run: observed },
  { id: 'who-may-make-voters', says: 'Nobody grants the right to vote who may not.', run: granted },
]

const MINUTE_MS = 60_000
const of = (n: number, share: number | null, observedMinutes = 3000) => ({
  peer: peer(n),
  availability: { observedMinutes, share },
  isAlwaysOn: false,
})
const good = (...numbers: number[]) => numbers.map((n) => of(n, 0.99))

function suggested({ must }: Report): void {
  const set = (candidates: Parameters<typeof suggestVoters>[0], ...present: number[]): string => {
    const numbers = new Map(Array.from({ length: 9 }, (_, n) => [peer(n), n]))
    const chosen = suggestVoters(
      candidates,
      present.map((n) => peer(n)),
    )
    return chosen === null ? 'as now' : chosen.map((one) => numbers.get(one)).join()
  }
  must('L2.7', !isEligible(of(1, 1, 60)), 'a machine is made a voter that was there for an hour')
  must('L2.7', !isEligible(of(1, 0.9)) && isEligible(of(1, 0.99)), 'a machine is made a voter that is often away')
  must('L2.7', isEligible({ ...of(1, null, 0), isAlwaysOn: true }), 'what is always on is not asked to vote')
  must('L2.7', set(good(1, 2, 3), 1, 2, 3) === 'as now', 'voters are changed for nothing')
  must('L2.7', set(good(1, 2), 1) === 'as now', 'two voters are suggested, of which both are needed')
  must('L2.7', set(good(1, 2, 3, 4), 1) === '1,2,3', `of four machines ${set(good(1, 2, 3, 4), 1)} are to vote`)
  const few = [...good(1, 2, 3), of(4, 0.5), of(5, 0.5)]
  must('L2.7', set(few, 1, 2, 4, 5) === '1,2,3,4', `of four voters ${set(few, 1, 2, 4, 5)} are left`)
  const best = [of(1, 0.99), of(2, 0.96), of(3, 0.98), of(4, 0.97)]
  must('L2.7', set(best, 1) === '1,3,4', `not the best are chosen, but ${set(best, 1)}`)
}

async function observed({ must }: Report): Promise<void> {
  const [self, other, gone] = [peer(1), peer(2), peer(3)]
  const start = async (store = createMemoryStore()) => {
    const clock = createManualClock()
    const members = new Set([self, other, gone])
    const log = createRecordedLog()
    const deps = { self, store, members: () => members, presence: { state: () => 'away' as const }, clock, log }
    return { clock, store, members, watch: await watchAvailability(deps).catch(() => undefined) }
  }
  const { clock, store, members, watch } = await start()
  await clock.advance(10 * MINUTE_MS)
  const seen = watch?.of(other).observedMinutes
  clock.suspend(600 * MINUTE_MS)
  await clock.advance(MINUTE_MS)
  must('L2.7', seen === 10 && watch?.of(other).observedMinutes === 10, 'others are told to be away by whoever slept')
  must('L2.7', (watch?.of(self).share ?? 1) < 0.1, 'whoever slept was there')
  members.delete(gone)
  await clock.advance(11 * MINUTE_MS)
  must('D12', watch?.of(gone).observedMinutes === 0, 'what was seen of former members is kept')
  await watch?.stop()
  must('L2.7', (await start(store)).watch?.of(other).observedMinutes === 21, 'what was seen is gone after a restart')

  await store.putFact(AVAILABILITY_FACT, new Uint8Array([1, 2, 3]))
  must('L2.7', (await start(store)).watch !== undefined, 'a node does not start when it cannot read what it has seen')
  const hour = { observed: new Uint8Array([200]), reached: new Uint8Array([250]) }
  const saved = { v: 1, savedAt: createManualClock().wallMs(), members: { [other]: hour } }
  await store.putFact(AVAILABILITY_FACT, encodeCanonical(saved))
  const read = (await start(store)).watch?.of(other)
  must('L2.7', read?.observedMinutes === 60 && read.share === 1, 'an hour has more than sixty minutes')
}

async function granted({ must }: Report): Promise<void> {
  const grants = async (own: readonly Capability[], held: readonly Capability[]): Promise<number> => {
    const members = new Map([
      [peer(1), { peer: peer(1), capabilities: new Set(own), seniority: 0 }],
      [peer(2), { peer: peer(2), capabilities: new Set(held), seniority: 1 }],
    ])
    let written = 0
    const view = { epoch: 1, quorum: 1, isForced: false, grantsAgainInMs: null }
    const voters = [{ peerId: peer(2), name: 'two', online: true, problem: null }]
    const electorate = createElectorateService({
      self: peer(1),
      voters: { view: () => ({ ...view, voters }), set: async () => ok({ ...view, voters }) },
      membership: {
        current: () => ({ members }),
        async author(write: (state: unknown) => { value: unknown }) {
          if (write({ resolution: { membership: { members } } }).value) written++
          return ok(null)
        },
      },
      presence: { state: () => 'online' },
      availability: { of: () => ({ observedMinutes: 0, share: null }) },
      isAlwaysOn: () => true,
      nameOf: (id: string) => id,
      log: createRecordedLog(),
    } as unknown as ElectorateDeps)
    await electorate.set({ members: [peer(2)] })
    return written
  }
  must('M5', (await grants(['admin', 'vote', 'store'], ['store'])) === 1, 'a new voter is not told to vote')
  must('M5', (await grants(['vote', 'store'], ['store'])) === 0, 'whoever is no admin grants the right to vote')
  must('M5', (await grants(['admin', 'store'], ['store'])) === 0, 'somebody grants what it has not')
  must(
    'M5',
    (await grants(['admin', 'vote', 'store'], ['store', 'vote'])) === 0,
    'what is granted already is granted again',
  )
}

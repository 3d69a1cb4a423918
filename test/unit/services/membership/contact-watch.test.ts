import { describe, expect, it } from 'vitest'
import { CONTACTS_FACT, watchContacts } from '../../../../node/services/membership/contact-watch.ts'
import { createManualClock } from '../../../support/clock.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { ALL, createHistory, peer, settle } from '../../protocols/membership/history.ts'

const HOUR = 3_600_000
const LIMIT = 72 * HOUR
const [founder, asker, self, admin] = [0, 1, 2, 3].map(peer) as [never, never, never, never]

/** A machine (2) in a mesh with its founder (0), a member that asks (1), and, where `withAdmin`, another admin (3). */
async function createMachine({ withAdmin = false, voters = [founder] as readonly never[] } = {}) {
  const h = createHistory()
  let tip = h.genesis
  for (const who of [1, 2]) tip = h.join(0, [tip], who, ['control', 'run', 'store'])
  if (withAdmin) tip = h.join(0, [tip], 3, [...ALL])
  const membership = settle(h.records).membership
  const [clock, store, log] = [createManualClock(), createMemoryStore(), createRecordedLog()]
  const nameOf = (id: string): string => membership.members.get(id as never)?.name ?? id
  const start = (limitMs = LIMIT) =>
    watchContacts({ self, membership: () => membership, voters: () => voters, store, clock, log, nameOf, limitMs })
  return { clock, store, log, start, contacts: await start() }
}

describe('a machine that was cut off', () => {
  it('[M7] runs nothing for others once it has heard from no admin for the staleness limit, and says why', async () => {
    const { clock, contacts } = await createMachine()
    await clock.advance(LIMIT)
    expect([contacts.refusal(asker), contacts.problem()]).toEqual([undefined, undefined])
    await clock.advance(1)
    expect(contacts.refusal(asker)).toMatch(/no admin \(founder\).* 72 h .*sessions\.staleAfterMs.*Connect it/)
    expect(contacts.problem()).toContain('Refused now: m1.')
  })

  it('[M7] runs things again as soon as it has heard from an admin', async () => {
    const { clock, contacts } = await createMachine()
    await clock.advance(LIMIT + 1)
    contacts.heard(asker)
    expect(contacts.refusal(asker)).toBeDefined()
    contacts.heard(founder)
    expect(contacts.refusal(asker)).toBeUndefined()
  })

  it('[M7] goes on for the only admin, whom nobody else can have removed, and for itself', async () => {
    const { clock, contacts } = await createMachine()
    await clock.advance(10 * LIMIT)
    expect([contacts.refusal(founder), contacts.refusal(self)]).toEqual([undefined, undefined])
  })

  it('[M7] does not take the word of the one that asks, admin or voter', async () => {
    const { clock, contacts } = await createMachine({ withAdmin: true, voters: [admin] })
    await clock.advance(LIMIT + 1)
    contacts.heard(admin)
    expect(contacts.refusal(admin)).toContain('founder')
    expect(contacts.refusal(asker)).toBeUndefined()
  })

  it('[M7] takes the word of a majority of the voters', async () => {
    const { clock, contacts } = await createMachine({ voters: [founder, self, asker] })
    await clock.advance(LIMIT + 1)
    contacts.heard(asker)
    expect(contacts.refusal(asker)).toBeDefined()
    const other = await createMachine({ withAdmin: true, voters: [asker, self, admin] })
    await other.clock.advance(LIMIT + 1)
    other.contacts.heard(asker)
    expect(other.contacts.refusal(admin)).toBeUndefined()
  })

  it('[M7] counts the time it slept and the time it was not running', async () => {
    const { clock, contacts, start } = await createMachine()
    clock.suspend(40 * HOUR)
    expect(contacts.refusal(asker)).toBeUndefined()
    await contacts.stop()
    clock.stepWall(33 * HOUR)
    expect((await start()).refusal(asker)).toBeDefined()
  })

  it('[M7] remembers over a restart that it has heard, and takes a clock that was set back for too long', async () => {
    const { clock, contacts, start } = await createMachine()
    await clock.advance(LIMIT - HOUR)
    contacts.heard(founder)
    await contacts.stop()
    clock.stepWall(HOUR)
    expect((await start()).refusal(asker)).toBeUndefined()
    clock.stepWall(-2 * HOUR)
    const late = await start()
    expect(late.refusal(asker)).toBeDefined()
    late.heard(founder)
    expect(late.refusal(asker)).toBeUndefined()
  })

  it('[M7] takes a record that it cannot read for too long, and starts', async () => {
    const { contacts, store, start, log } = await createMachine()
    await contacts.stop()
    await store.putFact(CONTACTS_FACT, new Uint8Array([1, 2, 3]))
    expect((await start()).refusal(asker)).toBeDefined()
    expect(log.lines.map(({ message }) => message)).toEqual([expect.stringContaining('as if it were long ago')])
  })
})

import { CONTACTS_FACT, watchContacts, type Contacts } from '../../../../node/services/membership/contact-watch.ts'
import { createManualClock } from '../../../support/clock.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryStore } from '../../../support/memory-store.ts'
import { createTestReplica, sync, type TestReplica } from '../../../support/replicas.ts'
import { afterBackup, put, restored, testify } from '../../../support/restoration-lab.ts'
import { createHistory, peer, settle } from '../../../unit/protocols/membership/history.ts'
import type { Report, Scenario } from '../scenario.ts'

export const gateScenarios: readonly Scenario[] = [
  { id: 'restored-node', says: 'A node from a backup writes once it has what others have of it.', run: restoredNode },
  { id: 'disk-went-back', says: 'A node that meets what it has forgotten it wrote stops writing.', run: diskWentBack },
  { id: 'cut-off-machine', says: 'A machine runs nothing for those who may have been removed.', run: cutOffMachine },
]

const writes = async (replica: TestReplica, key: string): Promise<boolean> =>
  await put(replica, key).then(
    () => true,
    () => false,
  )

async function restoredNode({ must }: Report): Promise<void> {
  const meshes = { first: await afterBackup(), second: await afterBackup(), third: await afterBackup() }
  const { b, c, membership } = meshes.first
  const a = await restored(meshes.first.membership, meshes.first.backup)
  must('M14', !(await writes(a, 'early')), 'writes before anybody has said what it wrote')
  await testify(c, a)
  must('M14', !(await writes(a, 'early')), 'writes although one member has said nothing')
  await testify(b, a)
  must('M14', !(await writes(a, 'early')), 'writes at a place that it has used, as the member says that was asked')
  const again = await createTestReplica(0, membership, a.store.copy())
  const awaited = again.documents.restoration.view()?.awaited
  must('M14', awaited?.length === 1, 'whoever was heard has to be heard again after a restart')
  await sync(b, a)
  must('M14', await writes(a, 'late'), 'never writes again')

  const other = await restored(meshes.second.membership, meshes.second.backup)
  await sync(meshes.second.b, other)
  await testify(meshes.second.c, other)
  await testify(meshes.second.b, other, true)
  must('M14', !(await writes(other, 'early')), 'writes while another copy of it writes')

  const left = await restored(meshes.third.membership, meshes.third.backup)
  const unknown = meshes.third.b.peer
  meshes.third.membership.members.delete(unknown)
  const testimony = { heads: new Map(), members: [unknown], isElsewhere: false }
  await left.documents.restoration.heard(meshes.third.c.peer, testimony)
  must('M14', !(await writes(left, 'early')), 'writes without a member that was admitted after the backup')
  meshes.third.membership.removed.set(unknown, new Map())
  await left.documents.membershipChanged()
  must('M14', await writes(left, 'late'), 'waits for whoever was removed')
}

async function diskWentBack({ must }: Report): Promise<void> {
  const { membership, b, c, backup } = await afterBackup()
  const a = await createTestReplica(0, membership, backup)
  await sync(b, a)
  must('M14', !(await writes(a, 'early')), 'writes on although it has forgotten what it wrote')
  for (const teller of [b, c]) await testify(teller, a)
  must('M14', await writes(a, 'late'), 'never writes again')

  const second = await afterBackup()
  const copy = await createTestReplica(0, second.membership, second.backup)
  await sync(second.b, copy)
  for (const teller of [second.b, second.c]) await testify(teller, copy)
  await second.a.clock.advance(600_000)
  await writes(second.a, 'meanwhile')
  await sync(second.a, second.b)
  await sync(second.b, copy)
  for (const teller of [second.b, second.c]) await testify(teller, copy)
  must('M14', !(await writes(copy, 'x')), 'two processes write with one key')
}

const HOUR = 3_600_000
const LIMIT = 72 * HOUR

/** Machine 2 in a mesh with its founder (0), a member that asks (1), and another admin (3). */
async function machine(voters: readonly number[]) {
  const h = createHistory()
  let tip = h.genesis
  for (const who of [1, 2]) tip = h.join(0, [tip], who, ['control', 'run', 'store'])
  tip = h.join(0, [tip], 3, ['admin', 'control', 'run', 'store'])
  const membership = settle(h.records).membership
  const [clock, store, log] = [createManualClock(), createMemoryStore(), createRecordedLog()]
  const start = (): Promise<Contacts> =>
    watchContacts({
      self: peer(2),
      membership: () => membership,
      voters: () => voters.map(peer),
      store,
      clock,
      log,
      nameOf: (id) => id,
      limitMs: LIMIT,
    })
  return { clock, store, start, contacts: await start() }
}

async function cutOffMachine({ must }: Report): Promise<void> {
  const isRefused = (contacts: Contacts, who = 1): boolean => contacts.refusal(peer(who)) !== undefined
  const { clock, contacts, start } = await machine([0])
  await clock.advance(LIMIT)
  must('M7', !isRefused(contacts), 'refuses before the limit')
  await clock.advance(1)
  must('M7', isRefused(contacts), 'runs what somebody asks for that may have been removed')
  must('M7', !isRefused(contacts, 2), 'runs nothing for itself')
  contacts.heard(peer(1))
  must('M7', isRefused(contacts), 'takes the word of the one that asks')
  contacts.heard(peer(3))
  must('M7', !isRefused(contacts), 'refuses although an admin was heard')
  must('M7', isRefused(contacts, 3), 'an admin that was removed vouches for itself')

  const asleep = await machine([0])
  asleep.clock.suspend(LIMIT + HOUR)
  must('M7', isRefused(asleep.contacts), 'the time it slept does not count')
  const down = await machine([0])
  await down.contacts.stop()
  down.clock.stepWall(LIMIT + HOUR)
  must('M7', isRefused(await down.start()), 'the time it was not running does not count')
  const back = await machine([0])
  await back.contacts.stop()
  back.clock.stepWall(-HOUR)
  must('M7', isRefused(await back.start()), 'a clock that was set back makes it forget the time')
  const damaged = await machine([0])
  await damaged.contacts.stop()
  await damaged.store.putFact(CONTACTS_FACT, new Uint8Array([1, 2, 3]))
  must('M7', isRefused(await damaged.start()), 'a record that cannot be read counts as heard')
  contacts.heard(peer(0))
  await contacts.stop()
  must('M7', !isRefused(await start()), 'what was heard is forgotten at a restart')

  const voting = await machine([1, 2, 0])
  await voting.clock.advance(LIMIT + 1)
  voting.contacts.heard(peer(1))
  must('M7', isRefused(voting.contacts), 'one that asks counts for the majority that vouches for it')
  const vouched = await machine([1, 2, 0])
  await vouched.clock.advance(LIMIT + 1)
  vouched.contacts.heard(peer(1))
  must('M7', !isRefused(vouched.contacts, 3), 'a majority of the voters is not believed')
}

import * as Y from 'yjs'
import { InstanceId, projectDoc } from '../../../../crdt/ids.ts'
import { markReady, putLock } from '../../../../crdt/live-document.ts'
import { LockBoard, type HeldLock } from '../../../../crdt/lock-board.ts'
import { openClaims } from '../../../../crdt/lock-notices.ts'
import { LOCK_CERTIFICATE_BYTES_MAX, type LockRecord } from '../../../../crdt/lock-record.ts'
import { err } from '../../../../crdt/result.ts'
import type { LeaseRefusal, LeaseService } from '../../../../node/services/leases/lease-service.ts'
import { betterRival, knownLocks, obstacle } from '../../../../node/services/locks/lock-rivals.ts'
import { PROJECT, type LabNode } from '../../../support/claim-lab.ts'
import { OTHER, rivalRecord, SELF, target } from '../../../support/claim-table.ts'
import { LockCalls, locksOf, pathsOf } from '../../../support/lock-calls.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockScenarios: readonly Scenario[] = [
  { id: 'locks-shown', says: 'What is shown was granted, as far as can be known by now.', run: shown },
  { id: 'lock-rivals', says: 'A node knows which locks of which owners are in the way.', run: rivals },
  { id: 'lock-late-answer', says: 'An answer of the voters that comes late is worth what it says.', run: lateAnswer },
  { id: 'lock-one-of-many', says: 'Whoever gives one path back keeps the others, or all of them.', run: oneOfMany },
]

function boardOf(record: LockRecord, certificate: unknown): LockBoard {
  const board = new LockBoard({ verify: () => true, isLive: () => true })
  const doc = new Y.Doc()
  putLock(doc, `${record.lease}/0`, record, undefined)
  doc.getMap('certificates').set(record.lease, certificate)
  markReady(doc)
  board.sync(OTHER, 1, doc)
  return board
}

async function shown({ must }: Report): Promise<void> {
  const granted = rivalRecord('a', { token: 1 })
  must('M13', boardOf(granted, new Uint8Array(1)).list('p').length === 1, 'a lock that was granted is not shown')
  must('M13', boardOf(granted, 'text').list('p').length === 0, 'what is no certificate is taken for one')
  const huge = new Uint8Array(LOCK_CERTIFICATE_BYTES_MAX + 1)
  must('M13', boardOf(granted, huge).list('p').length === 0, 'a certificate of any size is read')
  must('M19', boardOf(granted, new Uint8Array(1)).list('').length === 0, 'a project shows the locks of others')
  const doc = new Y.Doc()
  putLock(doc, `${granted.lease}/0`, granted, new Uint8Array(2000))
  let bytes = 0
  doc.on('update', (update) => (bytes += update.byteLength))
  putLock(doc, `${granted.lease}/1`, rivalRecord('b', { token: 1 }), new Uint8Array(2000))
  must('D9', bytes < 2000, 'every path of a lease brings its certificate along')

  await LockCalls.in({ nodes: 3, voters: 1 }, async (calls, nodes) => {
    const [, holder, other] = nodes as Three
    const verified = other.leases.verified.bind(other.leases)
    other.leases.verified = () => undefined
    await calls.lock(holder, 'a', 'one')
    must('M13', (await pathsOf(other)) === '', 'a lock is shown whose voters are not known')
    other.leases.verified = verified
    other.events.publish({ type: 'members.changed' })
    must('M13', (await pathsOf(other)) === 'a', 'a lock stays hidden whose voters were not known at first')
  })
}

type Three = [voter: LabNode, holder: LabNode, other: LabNode]
type Hold = Parameters<typeof rivalRecord>[1]
const locked = (path: string, node = OTHER, how: Hold = {}): HeldLock => {
  const record = rivalRecord(path, how)
  return { node, id: `${record.lease}/0`, record }
}

async function rivals({ must }: Report): Promise<void> {
  const mine = { node: SELF, instance: InstanceId.parse('one'), tokenId: 't' }
  const known = (shownLocks: readonly HeldLock[], own: readonly HeldLock[] = [], isValid = true): number =>
    knownLocks({
      boards: { board: { active: () => shownLocks } as unknown as LockBoard },
      live: { all: () => own.map(({ id, record }) => ({ id, record, certificate: undefined })) },
      leases: { isValid: () => isValid },
      self: SELF,
    }).rivals(mine, [target('a')]).length
  must('P1', known([locked('a/b')]) === 1 && known([locked('b')]) === 0, 'a lock that overlaps is not in the way')
  must('P1', known([locked('a', SELF)]) === 0, 'what this node has just given back is in the way')
  must('P1', known([], [locked('a', SELF)]) === 1, 'what this node has just claimed is in nobody’s way')
  const certain = locked('a', SELF, { token: 1 })
  must('P1', known([], [certain]) === 1, 'what this node was just granted is in nobody’s way')
  must('L2.5', known([], [certain], false) === 0, 'a lock whose lease is over is in the way')
  const same = { instance: 'one', tokenId: 't' }
  must('P1', known([], [locked('a', SELF, same)]) === 0, 'an owner is in its own way')
  must('I1', known([locked('a', OTHER, same)]) === 1, 'an owner at another node is the same owner')
  must(
    'I1',
    known([], [locked('a', SELF, { ...same, instance: 'two' })]) === 1,
    'all instances of a token are one owner',
  )
  must('I1', known([], [locked('a', SELF, { ...same, tokenId: 'u' })]) === 1, 'whoever has the name is the owner')
  const [worse, best] = [locked('a', OTHER, { token: 1 }), locked('a', OTHER, { token: 2 })]
  const own = { lease: 'f'.repeat(32), token: null, hlc: { ms: 5, n: 0 } }
  must('P2', betterRival(own, [worse, best]) === best, 'whoever gives way is not told to whom')

  const blocks = (lock: HeldLock, { isOnline = true, caseFold = false } = {}): boolean => {
    const deps = {
      boards: { board: { active: () => [lock] } as unknown as LockBoard },
      live: { all: () => [] },
      leases: { isValid: () => true },
      self: SELF,
      presence: { state: () => (isOnline ? ('online' as const) : ('away' as const)) },
    }
    return obstacle(deps, { owner: mine, space: { key: 'p', caseFold }, targets: [target('a')] }) !== undefined
  }
  must('P1', blocks(locked('a')), 'a newcomer takes what is about to be certified')
  must(
    'L2.8',
    !blocks(locked('a'), { isOnline: false }),
    'a claim of nobody knows where blocks what voters would grant',
  )
  must('P1', blocks(locked('a', SELF), { isOnline: false }), 'a newcomer takes what this node has claimed')
  must('L2.8', !blocks(certain), 'a node refuses instead of the voters')
  must('L2.9', blocks(locked('A', OTHER, { token: 1 }), { caseFold: true }), 'another spelling is another file')
  const whole = { ...locked('a'), record: { ...rivalRecord('a', {}), key: 'p', path: './' } }
  must('P1', blocks(whole), 'a lock of the whole project is in nobody’s way')
  const foreign = { ...locked('a'), record: { ...rivalRecord('a', {}), key: 'pq/a' } }
  must('M19', !blocks(foreign), 'a lock of another project is in the way')
}

type Acquired = Awaited<ReturnType<LeaseService['acquire']>>

/** The voters take longer than a caller is patient: what they say comes when the claim has been announced. */
function slow(calls: LockCalls, { leases }: LabNode, answer?: LeaseRefusal): void {
  const acquire = leases.acquire.bind(leases)
  leases.acquire = async (request): Promise<Acquired> => {
    await new Promise<void>((resolve) => calls.lab.clock.after(2000, resolve))
    return answer ? err(answer) : await acquire(request)
  }
}

const openOf = (node: LabNode): Promise<number> =>
  node.documents.read(projectDoc(PROJECT), (doc) => openClaims(doc, node.peer).length)

async function lateAnswer({ must }: Report): Promise<void> {
  const TWO = { nodes: 2, voters: 1 }
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [, holder] = nodes as [LabNode, LabNode]
    await calls.lock(holder, 'quick', 'one')
    const isAnnounced = holder.store.appends.flat().some(({ doc }) => doc === projectDoc(PROJECT))
    must('L2.8', !isAnnounced, 'what voters grant at once is announced as provisional first')
    slow(calls, holder)
    const lock = await calls.lock(holder, 'a', 'one')
    must('L2.8', lock.guarantee === 'certified' && (await openOf(holder)) === 0, 'a claim is left beside its lock')
  })
  await LockCalls.in(TWO, async (calls, nodes) => {
    const [, holder] = nodes as [LabNode, LabNode]
    slow(calls, holder, { why: 'held', leaseId: 'e'.repeat(32), owner: 'w', by: { instanceId: 'else', untilMs: 0 } })
    must('L2.8', (await calls.tryLock(holder, 'a', 'one')) === 'lock_held', 'what another holds is given')
    must('P4', (await openOf(holder)) === 0, 'a claim is left of what was refused')
  })
  await LockCalls.in({ nodes: 3, voters: 1 }, async (calls, nodes) => {
    const [voter, holder, other] = nodes as Three
    await calls.lab.split([voter], [holder, other])
    await calls.lab.pass(20_000)
    await calls.lock(other, 'a', 'two')
    await calls.lab.split([voter, holder], [other])
    await calls.lab.pass(20_000)
    slow(calls, holder)
    const answer = await calls.tryLock(holder, 'a', 'one')
    must('P2', answer === 'ok', `what nobody granted refuses what voters have granted: ${answer}`)
  })
}

async function oneOfMany({ must }: Report): Promise<void> {
  await LockCalls.in({ nodes: 2, voters: 1 }, async (calls, nodes) => {
    const [voter, holder] = nodes as [LabNode, LabNode]
    const long = Array.from({ length: 100 }, (_, i) => `${i}/`.padEnd(900, 'x'))
    for (const exclusive of [true, false]) {
      const wish = { instanceId: 'one', paths: long, allOrNothing: true, exclusive }
      const answer = await holder.locks.bulk(holder.actor('t'), PROJECT, wish)
      const codes = answer.ok ? new Set(answer.value.failed.map(({ error }) => error.code)) : new Set()
      must('L2.4', [...codes].join() === 'too_large', 'asks for a certificate that no live document can carry')
    }
    await calls.lockAll(holder, ['a', 'b', 'c'], 'one')
    calls.lab.disconnect(voter)
    const answer = await calls.release(holder, 'b', 'one')
    must('L2.8', answer === 'quorum_unreachable', `one of many is given back without the voters: ${answer}`)
    must('L2.8', (await pathsOf(holder)) === 'a,b,c', 'the others are lost with the one that was given back')
    const isValid = holder.leases.isValid.bind(holder.leases)
    holder.leases.isValid = () => false
    const late = await calls.release(holder, 'b', 'one')
    holder.leases.isValid = isValid
    must('L2.5', late === 'ok' && (await locksOf(holder)).length === 0, 'what is over cannot be given back')
  })
}

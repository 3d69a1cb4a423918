import type { Actor } from '../../../../crdt/actor.ts'
import { liveDoc } from '../../../../crdt/ids.ts'
import { createCertificateCheck } from '../../../../node/services/claims/claim-certificate.ts'
import { mayActFor } from '../../../../node/services/claims/claim-owner.ts'
import { reachedWithin } from '../../../../node/services/claims/claim-reached.ts'
import { refusalError } from '../../../../node/services/claims/claim-refusal.ts'
import { createResuming } from '../../../../node/services/claims/claim-resuming.ts'
import { createTurns } from '../../../../node/services/claims/claim-turns.ts'
import { createClaimWatch } from '../../../../node/services/claims/claim-watch.ts'
import type { Certificate, Resource } from '../../../../protocols/lease/messages.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import type { Report, Scenario } from '../scenario.ts'

export const claimScenarios: readonly Scenario[] = [
  { id: 'claim-turns', says: 'What concerns one key happens in turn, also after what failed.', run: turns },
  { id: 'claim-patience', says: 'What a process held is waited for, but not for ever.', run: patience },
  { id: 'claim-certificates', says: 'A certificate proves one lease, and is verified once.', run: certificates },
  { id: 'claim-watch', says: 'A lease is shown as long as it is renewed, by the clock of who looks.', run: watched },
  { id: 'claim-words', says: 'Who may act for a holder, and what others are told of it.', run: words },
]

const SELF = identity(1).peer
const OTHER = identity(2).peer

async function turns({ must }: Report): Promise<void> {
  const inTurn = createTurns()
  const ask = (key: string, task: () => Promise<unknown>): void => void inTurn(key, task).catch(() => undefined)
  const done: string[] = []
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  ask('a', () => first.promise)
  ask('a', async () => {
    done.push('second')
    await second.promise
  })
  ask('b', async () => done.push('other'))
  await settle()
  must('I1', done.join() === 'other', `at once: ${done.join()}`)
  first.reject(new Error('the disk is full'))
  await settle()
  must('L2.5', done.join() === 'other,second', 'what failed keeps all that waits behind it from happening')
  ask('a', async () => done.push('third'))
  await settle()
  must('I1', done.length === 2, 'a turn that has ended lets everybody in at once')
  second.resolve()
  await settle()
  let isAtOnce = false
  ask('a', async () => (isAtOnce = true))
  must('D12', isAtOnce, 'a queue is kept in which nobody waits')
}

async function patience({ must }: Report): Promise<void> {
  const begun = (ready: Promise<void>, work: () => Promise<void>) => {
    const clock = createManualClock()
    const resuming = createResuming({ clock, log: createRecordedLog() })
    resuming.begin(ready, work)
    const said = { isKnown: false }
    void resuming.known().then(() => (said.isKnown = true))
    return { clock, said }
  }
  const silent = begun(Promise.resolve(), () => new Promise(() => undefined))
  await silent.clock.advance(1500)
  must('L2.11', !silent.said.isKnown, 'a holder is told that it holds nothing before its voters have answered')
  await silent.clock.advance(1000)
  must('L2.11', silent.said.isKnown, 'who asks waits as long as the voters are silent')
  const loaded = Promise.withResolvers<void>()
  const late = begun(loaded.promise, () => new Promise(() => undefined))
  await late.clock.advance(10_000)
  must('L2.11', !late.said.isKnown, 'a holder is told that it holds nothing before it is known what there was')
  loaded.resolve()
  await late.clock.advance(2500)
  must('L2.11', late.said.isKnown, 'who asks waits as long as the voters are silent')
  const failed = begun(Promise.resolve(), () => Promise.reject(new Error('the disk is full')))
  await settle()
  must('L2.11', failed.said.isKnown, 'who asks waits for what has failed')
  const quick = begun(Promise.resolve(), async () => undefined)
  await settle()
  must('L2.11', quick.said.isKnown, 'who asks waits although the voters have answered')
  const stopped = createResuming({ clock: createManualClock(), log: createRecordedLog() })
  stopped.stop()
  must('L2.11', stopped.isStopped, 'what is not known when a node stops counts as lost')
}

const resource: Resource = { kind: 'task', key: 'p/1', mode: 'exact' }

async function certificates({ must }: Report): Promise<void> {
  let verified = 0
  /** Its bytes say which lease it is on; the voters have not granted those that begin with 255. */
  const leases = {
    verified(bytes: Uint8Array): Certificate | undefined {
      verified++
      if (bytes[0] === 255) return undefined
      const token = { epoch: 1, n: 7 }
      const req = { node: SELF, lid: bytes.join(), token, info: { instanceId: 'one' }, res: [resource] }
      return { req: { body: req }, grants: [] } as unknown as Certificate
    },
  }
  const check = createCertificateCheck({ crypto, leases })
  const bytesOf = (n: number, first = 0): Uint8Array => new Uint8Array([first, n >> 8, n & 255])
  const of = (n: number) => ({
    node: SELF,
    leaseId: bytesOf(n).join(),
    token: 2 ** 32 + 7,
    instanceId: 'one',
    resource,
  })
  const isProven = (): boolean => check(of(0), bytesOf(0))
  must('L2.10', isProven(), 'a good certificate proves nothing')
  const others = [
    { node: OTHER },
    { leaseId: 'x' },
    { token: 2 ** 32 + 8 },
    { instanceId: 'two' },
    { resource: { ...resource, kind: 'path' as const } },
    { resource: { ...resource, key: 'p/2' } },
    { resource: { ...resource, mode: 'subtree' as const } },
  ]
  for (const other of others) {
    const isBelieved = check({ ...of(0), ...other }, bytesOf(0))
    must('L2.10', !isBelieved, `a certificate proves another ${Object.keys(other).join()}`)
  }
  must('L2.10', verified === 1, 'signatures of one certificate are checked again')
  for (let n = 0; n < 5000; n++) check(of(n), bytesOf(n, 255))
  must('L2.10', verified === 5001 && isProven() && verified === 5001, 'what is forged takes the place of what is good')
  for (let n = 1; n < 5000; n++) check(of(n), bytesOf(n))
  verified = 0
  must('L2.10', isProven() && verified === 1, 'every certificate that was ever shown is kept')
}

/** A watch on leases that others renew when the test says so. */
function watching() {
  const clock = createManualClock()
  const heard = new Map<string, number>()
  const valid = new Set<string>()
  const means = { timers: 0, asked: 0 }
  const flips: string[] = []
  const watch = createClaimWatch({
    clock: {
      ...clock,
      after(ms, task) {
        means.timers++
        return clock.after(ms, task)
      },
    },
    presence: {
      lastRenewedMonoMs(_node, id) {
        means.asked++
        return heard.get(id)
      },
    },
    leases: { isValid: (id) => valid.has(id) },
    self: SELF,
    ttlMs: 60_000,
    onFlip: (id) => flips.push(id),
  })
  const isLive = (leaseId: string, { node = OTHER, agoMs = 0 } = {}): boolean =>
    watch.isLive({ leaseId, node, issuedAtMs: clock.wallMs() - agoMs })
  return { clock, heard, valid, means, flips, watch, isLive }
}

async function watched({ must }: Report): Promise<void> {
  const { clock, heard, valid, means, flips, watch, isLive } = watching()
  must('L2.10', isLive('new') && isLive('behind', { agoMs: 150_000 }), 'the clock of another hides what it holds')
  must('L2.10', !isLive('old', { agoMs: 200_000 }), 'an old record is news because it is read for the first time')
  heard.set('new', clock.monoMs() - 30_000)
  await clock.advance(59_000)
  must('L2.10', isLive('new'), 'what was first seen just now ends with a heartbeat of before')
  await clock.advance(2000)
  must('L2.10', !isLive('new') && flips.includes('new'), 'a silent lease is shown for ever, or its end is not told')
  heard.set('new', clock.monoMs())
  await clock.advance(6000)
  must('L2.10', isLive('new'), 'a holder that is heard again stays hidden')
  valid.add('own')
  heard.set('own', clock.monoMs())
  must('L2.10', isLive('own', { node: SELF }), 'an own lease is hidden')
  valid.delete('own')
  await clock.advance(6000)
  must('L2.5', !isLive('own', { node: SELF }) && flips.includes('own'), 'an own lease is shown after its end')
  valid.add('own')
  watch.lookAgain()
  must('L2.11', isLive('own', { node: SELF }), 'a lease that came back is shown at the next look only')
  for (let i = 0; i < 20; i++) watch.lookAgain()
  means.timers = 0
  await clock.advance(20_000)
  must('L2.10', means.timers < 10, `${means.timers} timers for one look every five seconds`)

  const ended = watching()
  const issuedAtMs = ended.clock.wallMs()
  const ask = (): boolean => ended.watch.isLive({ leaseId: 'a', node: OTHER, issuedAtMs })
  ask()
  await ended.clock.advance(100_000)
  must('L2.10', !ask(), 'what has ended comes back because it is asked about again')
  await ended.clock.advance(600_000)
  ended.means.asked = 0
  await ended.clock.advance(60_000)
  must('L2.10', ended.means.asked === 0, 'what has ended is looked at for ever')
  must('L2.10', !ask(), 'what has ended comes back because it was forgotten')

  const stopped = watching()
  stopped.isLive('a')
  stopped.watch.stop()
  stopped.valid.add('own')
  stopped.means.timers = 0
  stopped.isLive('own', { node: SELF })
  must('L2.10', stopped.means.timers === 0, 'a watch that has stopped looks again')
}

async function words({ must }: Report): Promise<void> {
  const actor = (tokenId: string, abilities: readonly string[]): Actor => ({
    kind: 'user',
    id: 'u',
    tokenId,
    abilities: [...abilities],
    gateway: SELF,
  })
  const held = { instanceId: 'one', tokenId: 't', fencingToken: 7 as number | null }
  const may = (by: Actor, proof: { instanceId?: string; fencingToken?: number } = {}, of = held): boolean =>
    mayActFor(of, { actor: by, ...proof, ability: 'task:claim' })
  const able = actor('x', ['task:claim'])
  must('L2.8', may(actor('t', [])) && may(actor('t', []), { instanceId: 'one' }), 'who took it may not end it')
  must('L2.8', !may(actor('t', []), { instanceId: 'two' }), 'an instance ends what another of its token holds')
  must('L2.8', may(able, { fencingToken: 7 }), 'who was given the fencing token may not end it')
  must('L2.8', !may(able, { fencingToken: 8 }) && !may(able), 'the ability is enough')
  must('T2', !may(actor('x', []), { fencingToken: 7 }), 'a number that everybody can read is enough')
  must('L2.8', !may(able, {}, { ...held, fencingToken: null }), 'no proof is proof of what has no token')

  const refused = (untilMs: number): string => {
    const by = { instanceId: 'one', untilMs }
    const names = { held: 'task_claimed', nameOf: (peer: string) => peer } as const
    try {
      return JSON.stringify(refusalError({ why: 'held', by, owner: 'w', leaseId: 'a'.repeat(32) }, names))
    } catch {
      return 'a bug'
    }
  }
  must('M13', !refused(2 ** 53 - 1).includes('bug') && refused(0).includes('1970'), 'a holder signs what is no date')

  const clock = createManualClock()
  const reached = (_: unknown, signal: AbortSignal): Promise<boolean> =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve(false)))
  let isOver = false
  const position = { doc: liveDoc(OTHER, 1), author: OTHER, seq: 1 }
  void reachedWithin({ documents: { reached }, clock }, position).then(() => (isOver = true))
  await clock.advance(3000)
  must('L2.8', isOver, 'an answer waits for ever for what another node has written')
}

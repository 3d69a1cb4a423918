import type { Actor } from '../../../../crdt/actor.ts'
import { domainError } from '../../../../crdt/errors.ts'
import type { HeldLock } from '../../../../crdt/lock-board.ts'
import type { CertifiedRecord } from '../../../../crdt/lock-record.ts'
import { err, ok, type Result } from '../../../../crdt/result.ts'
import { createTurns } from '../../../../node/services/claims/claim-turns.ts'
import type { Claim } from '../../../../node/services/locks/lock-claim.ts'
import type { LockDeps } from '../../../../node/services/locks/lock-deps.ts'
import { createLockEnding } from '../../../../node/services/locks/lock-ending.ts'
import type { KeptLock } from '../../../../node/services/locks/lock-keeping.ts'
import { takeLease } from '../../../../node/services/locks/lock-lease.ts'
import type { LiveEntry } from '../../../../node/services/locks/lock-live.ts'
import { resumeLocks, type ResumingDeps } from '../../../../node/services/locks/lock-resuming.ts'
import { codeOf, PROJECT } from '../../../support/claim-lab.ts'
import { lease, rivalRecord, SELF, target, termsOf } from '../../../support/claim-table.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { crypto } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { plainProject } from '../../../support/plain-project.ts'
import type { Report, Scenario } from '../scenario.ts'

export const lockHolderScenarios: readonly Scenario[] = [
  { id: 'lock-of-one-holder', says: 'Whoever gives a lock back or prolongs it touches no other’s.', run: ofOneHolder },
  { id: 'lock-prolonged', says: 'A lock lasts as long as its lease and its disk say, up to a day.', run: prolonged },
  { id: 'lock-without-a-lease', says: 'A lease and its locks end together.', run: endsTogether },
  { id: 'lock-of-the-dead', says: 'What nobody waits for any more is given back at once.', run: ofTheDead },
]

const HOUR_MS = 3_600_000
type Method = { name: string; run: (actor: Actor, input: object) => Promise<Result<unknown>> }

/** One node that is asked to end and to prolong what its documents say. */
function holderTable() {
  const clock = createManualClock()
  const entries: LiveEntry[] = []
  const extended: string[] = []
  const released: string[] = []
  const put: LiveEntry[] = []
  const means = {
    shown: undefined as HeldLock | undefined,
    isValid: true,
    drops: 0,
    refusal: undefined as Result<never> | undefined,
    claim: undefined as Claim | undefined,
    known: Promise.resolve(),
  }
  const methods = new Map<string, Method>()
  const position = { doc: 'live', author: SELF, seq: 1 }
  const minutes = (ms: number): number => Math.round((ms - clock.wallMs()) / 60_000)
  const deps = {
    projects: { get: async () => ok(plainProject(PROJECT)) },
    crypto,
    boards: { board: { get: () => means.shown, list: () => [] } },
    live: {
      ofLease: (id: string) => entries.filter(({ record }) => record.lease === id),
      onExtent: () => entries,
      async put(added: readonly LiveEntry[]) {
        put.push(...added)
        return means.refusal ?? ok(position)
      },
      async drop(ids: readonly string[]) {
        means.drops++
        for (const id of ids) entries.splice(entries.findIndex((entry) => entry.id === id) >>> 0, 1)
        return position
      },
    },
    claims: {
      held: () => means.claim,
      async extend(_claim: Claim, untilMs: number) {
        extended.push(`claim ${minutes(untilMs)}`)
        return means.refusal ?? ok(position)
      },
    },
    leases: {
      extend: (id: string, untilMs: number) => means.isValid && extended.push(`${id[0]} ${minutes(untilMs)}`) > 0,
      release: async (id: string) => void released.push(id[0]!),
      isValid: () => means.isValid,
      settled: async () => undefined,
      acquire: async () => ok(lease),
    },
    turns: createTurns(),
    resuming: { known: () => means.known },
    rpc: { serve: (method: Method) => void methods.set(method.name, method) },
    clock,
    self: SELF,
    log: createRecordedLog(),
    nameOf: (peer: string) => peer,
  } as unknown as LockDeps
  const ending = createLockEnding(deps)
  ending.serve()
  const actor: Actor = { kind: 'user', id: 'u', tokenId: 't', abilities: [], gateway: SELF }
  const ask = async (method: 'lock.release' | 'lock.extend', untilMs = 0): Promise<string> =>
    codeOf(
      (await methods.get(method)?.run(actor, { projectId: PROJECT, path: 'a', instanceId: 'one', untilMs })) ??
        err(domainError('internal')),
    )
  /** A lock of the path that lasts for two hours, under a lease that is named by one letter. */
  const holds = (letter: string, owner: { instance?: string; tokenId?: string } = {}, n = 0): HeldLock => {
    const record: CertifiedRecord = {
      ...(rivalRecord('a', { token: 1, instance: 'one', tokenId: 't', ...owner }) as CertifiedRecord),
      lease: letter.repeat(32),
      project: PROJECT,
      key: `${PROJECT}/a`,
      expiresAt: new Date(clock.wallMs() + 2 * HOUR_MS).toISOString(),
    }
    const id = `${record.lease}/${n}`
    entries.push({ id, record, certificate: new Uint8Array(1) })
    return { id, node: SELF, record }
  }
  return { clock, deps, ending, entries, extended, released, put, means, ask, holds }
}

async function ofOneHolder({ must }: Report): Promise<void> {
  const { means, ask, holds, released } = holderTable()
  means.shown = holds('a')
  holds('b', { instance: 'two' })
  holds('c', { tokenId: 'u' })
  holds('d')
  const answer = await ask('lock.release')
  must('I1', !released.includes('b'), 'whoever gives a lock back gives back what another instance holds')
  must('I1', !released.includes('c'), 'whoever gives a lock back gives back what another token holds')
  must(
    'L2.8',
    answer === 'ok' && released.join() === 'a,d',
    `of two leases of one holder ${released.join()} is given back`,
  )

  for (const owner of [{ instance: 'two' }, { tokenId: 'u' }]) {
    const gone = holderTable()
    gone.means.shown = gone.holds('a')
    gone.entries.length = 0
    gone.holds('b', owner)
    const code = await gone.ask('lock.extend', gone.clock.wallMs() + 3 * HOUR_MS)
    must('I1', code === 'superseded' && gone.extended.length === 0, `what another holds is prolonged (${code})`)
  }

  for (const method of ['lock.release', 'lock.extend'] as const) {
    const early = holderTable()
    const known = Promise.withResolvers<void>()
    early.means.known = known.promise
    const asked = early.ask(method)
    await settle()
    early.means.shown = early.holds('a')
    known.resolve()
    must('L2.11', (await asked) === 'ok', `what is about to go on is not there yet (${method})`)
  }
}

async function prolonged({ must }: Report): Promise<void> {
  const table = (): ReturnType<typeof holderTable> => {
    const one = holderTable()
    one.means.shown = one.holds('a')
    one.holds('a', {}, 1)
    return one
  }
  const plain = table()
  await plain.ask('lock.extend', plain.clock.wallMs() + 3 * HOUR_MS)
  const ends = new Set(plain.put.map(({ record }) => record.expiresAt))
  must('L2.8', plain.put.length === 2 && ends.size === 1, 'of the locks of one lease one ends before the others')
  must('L2.8', plain.extended.join() === 'a 180', `prolonged to ${plain.extended.join()}`)
  const long = table()
  await long.ask('lock.extend', long.clock.wallMs() + 1000 * HOUR_MS)
  must('L2.8', long.extended.join() === 'a 1440', `another gateway prolongs to ${long.extended.join()}`)
  const short = table()
  await short.ask('lock.extend', short.clock.wallMs() + HOUR_MS)
  must('L2.8', short.extended.join() === 'a 120', `whoever asks for more gets less: ${short.extended.join()}`)
  const lapsed = table()
  lapsed.means.isValid = false
  const late = await lapsed.ask('lock.extend', lapsed.clock.wallMs() + 3 * HOUR_MS)
  must('L2.5', late === 'superseded' && lapsed.put.length === 0, 'a lock is prolonged whose lease is over')
  const full = table()
  full.means.refusal = err(domainError('storage_failed'))
  const refused = await full.ask('lock.extend', full.clock.wallMs() + 3 * HOUR_MS)
  must('D7', refused === 'storage_failed', `a lock is told to last longer than its disk says: ${refused}`)
  must('D7', full.extended.join() === 'a 180,a 120', 'a lease is held longer than its lock is shown')
}

async function endsTogether({ must }: Report): Promise<void> {
  const { deps, ending, means, holds, released } = holderTable()
  await ending.leaseEnded({ ...lease, leaseId: 'f'.repeat(32) })
  must('D9', means.drops === 0, 'the end of every claim of a task is written as that of a lock')
  holds('f')
  await ending.leaseEnded({ ...lease, leaseId: 'f'.repeat(32) })
  must('L2.5', means.drops === 1 && released.join() === 'f', 'a lock stays whose lease has ended')
  means.refusal = err(domainError('storage_failed'))
  const taken = await takeLease(deps, termsOf('one'), [target('a')])
  must('L2.5', codeOf(taken) === 'storage_failed' && released.includes('a'), 'a lease is kept without its lock')
}

async function ofTheDead({ must }: Report): Promise<void> {
  const clock = createManualClock()
  const resumed = async (untilMs: number, isDead: boolean): Promise<string> => {
    const said: string[] = []
    const deps = {
      boards: { lookAgain: () => undefined },
      clock,
      leases: {
        verified: () => lease.certificate,
        discard: () => said.push('given back'),
        release: async () => void said.push('released'),
        async resume() {
          said.push('resumed')
          return true
        },
      },
      live: { start: async () => undefined, put: async () => ok(null) },
      log: createRecordedLog(),
      resuming: { isStopped: false },
      kept: { settle: () => said.push('settled') },
      notices: { put: async () => (said.push('told'), ok(null)) },
      hasEnded: () => isDead,
    } as unknown as ResumingDeps
    const record = { ...rivalRecord('a', { token: 1 }), expiresAt: new Date(clock.wallMs() + untilMs).toISOString() }
    await resumeLocks(deps, [{ id: 'a', record, certificate: new Uint8Array(1) } as KeptLock])
    return said.join()
  }
  must('L2.11', (await resumed(HOUR_MS, false)) === 'resumed,settled', 'a lock does not go on')
  must('L2.11', (await resumed(HOUR_MS, true)) === 'given back,settled', 'what an agent held that has ended goes on')
  must('L2.11', (await resumed(0, false)) === 'given back,settled', 'what nobody waits for is not given back')
}

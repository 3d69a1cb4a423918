import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { domainError } from '../../../../crdt/errors.ts'
import { InstanceId, ProjectId, projectDoc, type PeerId } from '../../../../crdt/ids.ts'
import { markReady, putLock } from '../../../../crdt/live-document.ts'
import { LockBoard } from '../../../../crdt/lock-board.ts'
import type { NoticeRecord } from '../../../../crdt/lock-notices.ts'
import type { ProvisionalRecord } from '../../../../crdt/lock-record.ts'
import { err, ok, type Result } from '../../../../crdt/result.ts'
import type { FeedPosition } from '../../../../node/services/feeds/documents.ts'
import type { HeldLease, LeaseService } from '../../../../node/services/leases/lease-service.ts'
import type { LiveEntry, LiveLocks } from '../../../../node/services/locks/lock-live.ts'
import { createProvisionalLocks, SETTLE_MS } from '../../../../node/services/locks/lock-provisional.ts'
import type { LockTerms } from '../../../../node/services/locks/lock-terms.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createSeededRandom, identity } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { codeOf, valueOf } from '../../../support/claim-lab.ts'

/*
 * What a claim decides between two writes: here the live document and the notices are written when the test says so,
 * a moment that no schedule of whole nodes can be made to hit.
 */

const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')
const SELF = identity(1).peer
const OTHER = identity(2).peer
const position: FeedPosition = { doc: projectDoc(PROJECT), author: SELF, seq: 1 }

/** Answers when the gate opens; refuses once with what it is told. */
class Gate {
  refusal: Result<never> | undefined
  #isOpen = true
  #waiting: (() => void)[] = []

  shut(): void {
    this.#isOpen = false
  }

  async open(): Promise<void> {
    this.#isOpen = true
    for (const wake of this.#waiting.splice(0)) wake()
    await settle()
  }

  async pass<T>(value: T): Promise<Result<T>> {
    if (!this.#isOpen) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.refusal ?? ok(value)
  }
}

function table() {
  const clock = createManualClock()
  const board = new LockBoard({ verify: () => true, isLive: () => true })
  const gates = { live: new Gate(), notices: new Gate() }
  const entries = new Map<string, LiveEntry>()
  const notices = new Map<string, NoticeRecord>()
  const released: string[] = []
  const live: LiveLocks = {
    start: async () => undefined,
    put: (added) => live.replace([], added),
    async replace(ids, added) {
      for (const id of ids) entries.delete(id)
      for (const entry of added) entries.set(entry.id, entry)
      return await gates.live.pass(position)
    },
    async drop(ids) {
      for (const id of ids) entries.delete(id)
      return position
    },
    ofLease: (lease) => [...entries.values()].filter(({ record }) => record.lease === lease),
    onExtent: () => [],
    all: () => [...entries.values()],
  }
  const leases = {
    isValid: () => true,
    extend: () => true,
    release: async (id: string) => void released.push(id),
  } as unknown as LeaseService
  const claims = createProvisionalLocks({
    boards: { board },
    live,
    notices: {
      async put(_project, record) {
        const written = await gates.notices.pass(null)
        if (written.ok) notices.set(record.claim, record)
        return written
      },
      async close(_project, claim) {
        notices.delete(claim)
        return ok(null)
      },
    },
    leases,
    clock,
    random: createSeededRandom(1),
    log: createRecordedLog(),
    self: SELF,
    onHeld: () => undefined,
  })
  const hold = async (...paths: string[]) => {
    const claim = valueOf(await claims.begin(termsOf('one'), paths.map(target)))
    const settled = claims.settle(claim, ['voter'])
    await clock.advance(SETTLE_MS)
    valueOf(await settled)
    return claim
  }
  /** The other node says that it has held this provisionally since before everything here. */
  const rival = (path: string, node: PeerId = OTHER): void => {
    const doc = new Y.Doc()
    putLock(doc, `${'e'.repeat(32)}/0`, rivalRecord(path), undefined)
    markReady(doc)
    board.sync(node, 1, doc)
  }
  return { claims, clock, entries, gates, notices, released, hold, rival }
}

const target = (path: string) => ({ path, key: `p/${path}` })
const termsOf = (instance: string): LockTerms => ({
  projectId: PROJECT,
  instance: InstanceId.parse(instance),
  tokenId: 't',
  reason: null,
  lockedAtMs: 1_800_000_000_000,
  untilMs: 1_800_000_600_000,
})
const rivalRecord = (path: string): ProvisionalRecord => ({
  lease: 'e'.repeat(32),
  project: PROJECT,
  ...target(path),
  instance: InstanceId.parse('rival'),
  tokenId: 'r',
  reason: null,
  lockedAt: '2026-01-01T00:00:00.000Z',
  expiresAt: '2036-01-01T00:00:00.000Z',
  token: null,
  hlc: { ms: 1, n: 0 },
  settled: true,
  missing: [],
})
const lease = {
  leaseId: 'a'.repeat(32),
  resources: [],
  fencingToken: 7,
  certificate: { req: { bytes: new Uint8Array(), seal: new Uint8Array() }, grants: [] },
  after: [],
} as unknown as HeldLease

describe('a claim', () => {
  it('[P1] is not announced over a lock that is known, not even for a moment', async () => {
    const { claims, entries, notices, rival } = table()
    rival('src')
    expect(codeOf(await claims.begin(termsOf('one'), [target('src/a.ts')]))).toBe('lock_held')
    expect([entries.size, notices.size]).toEqual([0, 0])
    expect(codeOf(await claims.begin(termsOf('one'), [target('docs')]))).toBe('ok')
  })

  it('[P1] does not count before everybody had the time to object', async () => {
    const { claims, clock, entries } = table()
    const claim = valueOf(await claims.begin(termsOf('one'), [target('a')]))
    let isSettled = false
    const settled = claims.settle(claim, []).then(() => (isSettled = true))
    await clock.advance(SETTLE_MS - 1)
    expect([isSettled, claims.held(claim.id), [...entries.values()].map(({ record }) => record)]).toEqual([
      false,
      undefined,
      [expect.objectContaining({ settled: false })],
    ])
    await clock.advance(1)
    await settled
    expect([isSettled, claims.held(claim.id)]).toEqual([true, claim])
  })

  it('[P3] that loses before it counts leaves nothing behind but the answer', async () => {
    const { claims, clock, entries, notices, rival } = table()
    const claim = valueOf(await claims.begin(termsOf('one'), [target('a')]))
    rival('a')
    claims.review()
    const settled = claims.settle(claim, [])
    await clock.advance(SETTLE_MS)
    const refused = await settled
    expect(!refused.ok && [refused.error.code, refused.error.details?.holder?.instanceId]).toEqual([
      'lock_held',
      'rival',
    ])
    expect([entries.size, notices.size]).toEqual([0, 0])
  })

  it('[P3] that gave way never gets a certificate, though the voters have granted it', async () => {
    const { claims, entries, notices, released, hold, rival } = table()
    const claim = await hold('a')
    rival('a')
    claims.review()
    await settle()
    const late = await claims.certify(claim, { lease, targets: claim.targets })
    expect([late.ok, released, entries.size]).toEqual([false, [lease.leaseId], 0])
    expect([...notices.values()].map(({ state }) => state)).toEqual(['yield'])
  })

  it('[P3] whose certificate is being written gives way to nobody', async () => {
    const { claims, entries, gates, notices, hold, rival } = table()
    const claim = await hold('a')
    gates.live.shut()
    const certified = claims.certify(claim, { lease, targets: claim.targets })
    rival('a')
    claims.review()
    claims.yieldTo(claim, {
      leaseId: 'e'.repeat(32),
      path: 'a',
      instanceId: InstanceId.parse('rival'),
      node: null,
      since: '2026-01-01T00:00:00.000Z',
      guarantee: 'certified',
    })
    await claims.withdraw(claim)
    await settle()
    expect([...notices.values()].map(({ state }) => state)).toEqual(['open'])
    await gates.live.open()
    expect(valueOf(await certified)).toMatchObject([{ path: 'a', guarantee: 'certified', fencingToken: 7 }])
    expect([[...entries.values()].map(({ record }) => record.token), notices.size]).toEqual([[7], 0])
  })

  it('[P3] whose certificate could not be written gives the lease back, and gives way after all', async () => {
    const { claims, gates, notices, released, hold, rival } = table()
    const claim = await hold('a')
    gates.live.shut()
    gates.live.refusal = err(domainError('limit_reached'))
    const certified = claims.certify(claim, { lease, targets: claim.targets })
    rival('a')
    claims.review()
    await gates.live.open()
    expect([codeOf(await certified), released]).toEqual(['limit_reached', [lease.leaseId]])
    await settle()
    expect([...notices.values()].map(({ state }) => state)).toEqual(['yield'])
  })

  it('that is granted twice at once gives one lease back', async () => {
    const { claims, gates, released, hold } = table()
    const claim = await hold('a')
    gates.live.shut()
    const first = claims.certify(claim, { lease, targets: claim.targets })
    const second = await claims.certify(claim, { lease: { ...lease, leaseId: 'b'.repeat(32) }, targets: claim.targets })
    await gates.live.open()
    expect([codeOf(await first), codeOf(second), released]).toEqual(['ok', 'superseded', ['b'.repeat(32)]])
  })

  it('takes no lease over more than it still holds', async () => {
    const { claims, released, hold } = table()
    const claim = await hold('a', 'b')
    const { targets } = claim
    await claims.dropPath(claim, targets[0]!.entry)
    expect(codeOf(await claims.certify(claim, { lease, targets }))).toBe('superseded')
    expect([released, claims.held(claim.id)]).toEqual([[lease.leaseId], claim])
    valueOf(await claims.certify(claim, { lease, targets: claim.targets }))
    expect(claims.held(claim.id)).toBeUndefined()
  })

  it('[P5] that gives way is seen to be gone only when its notice is durable', async () => {
    const { claims, entries, gates, notices, hold, rival } = table()
    await hold('a')
    gates.notices.shut()
    rival('a')
    claims.review()
    await settle()
    expect([entries.size, [...notices.values()].map(({ state }) => state)]).toEqual([1, ['open']])
    await gates.notices.open()
    expect([entries.size, [...notices.values()].map(({ state }) => state)]).toEqual([0, ['yield']])
  })

  it('is one of a bounded number', async () => {
    const { claims } = table()
    const results = []
    for (let i = 0; i <= 256; i++) results.push(codeOf(await claims.begin(termsOf('one'), [target(`${i}`)])))
    expect([new Set(results.slice(0, 256)), results[256]]).toEqual([new Set(['ok']), 'limit_reached'])
  })
})

import * as Y from 'yjs'
import type { Hlc } from '../../crdt/hlc.ts'
import { InstanceId, ProjectId, projectDoc } from '../../crdt/ids.ts'
import { markReady, putLock } from '../../crdt/live-document.ts'
import { LockBoard } from '../../crdt/lock-board.ts'
import type { NoticeRecord } from '../../crdt/lock-notices.ts'
import type { CertifiedRecord, ProvisionalRecord } from '../../crdt/lock-record.ts'
import { ok, type Result } from '../../crdt/result.ts'
import type { FeedPosition } from '../../node/services/feeds/documents.ts'
import type { HeldLease, LeaseService } from '../../node/services/leases/lease-service.ts'
import type { LiveEntry, LiveLocks } from '../../node/services/locks/lock-live.ts'
import { createProvisionalLocks, SETTLE_MS } from '../../node/services/locks/lock-provisional.ts'
import type { LockTerms } from '../../node/services/locks/lock-terms.ts'
import { valueOf } from './claim-lab.ts'
import { createManualClock, settle } from './clock.ts'
import { createSeededRandom, identity } from './identity.ts'
import { createRecordedLog } from './log.ts'

/*
 * What a claim decides between two writes: here the live document and the notices are written when the test says so,
 * a moment that no schedule of whole nodes can be made to hit.
 */

const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')
export const SELF = identity(1).peer
export const OTHER = identity(2).peer
const position: FeedPosition = { doc: projectDoc(PROJECT), author: SELF, seq: 1 }

/** Answers when the gate opens, or refuses as long as it is told to. */
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

export function claimTable() {
  const clock = createManualClock()
  const board = new LockBoard({ verify: () => true, isLive: () => true })
  const gates = { live: new Gate(), drops: new Gate(), notices: new Gate() }
  const entries = new Map<string, LiveEntry>()
  const notices = new Map<string, NoticeRecord>()
  const released: string[] = []
  const extended: number[] = []
  /** Of the live document. */
  const writes = { count: 0 }
  /** Claims that the voters are to be asked for. */
  const asked = { count: 0 }
  const live: LiveLocks = {
    start: async () => undefined,
    put: (added) => live.replace([], added),
    async replace(ids, added) {
      writes.count++
      for (const id of ids) entries.delete(id)
      for (const entry of added) entries.set(entry.id, entry)
      return await gates.live.pass(position)
    },
    async drop(ids) {
      writes.count++
      for (const id of ids) entries.delete(id)
      await gates.drops.pass(null)
      return position
    },
    ofLease: (lease) => [...entries.values()].filter(({ record }) => record.lease === lease),
    onExtent: () => [],
    all: () => [...entries.values()],
  }
  const leases = {
    isValid: () => true,
    extend: (_id: string, untilMs: number) => extended.push(untilMs) > 0,
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
    onHeld: () => asked.count++,
  })
  const hold = async (...paths: string[]) => {
    const claim = valueOf(await claims.begin(termsOf('one'), paths.map(target)))
    const settled = claims.settle(claim, ['voter'])
    await clock.advance(SETTLE_MS)
    valueOf(await settled)
    return claim
  }
  /** The other node says that it holds this; provisionally, and since before everything here, unless said otherwise. */
  const rival = (path: string, how: Partial<Hold> = {}): void => {
    const doc = new Y.Doc()
    const record = rivalRecord(path, how)
    putLock(doc, `${record.lease}/0`, record, record.token === null ? undefined : new Uint8Array(1))
    markReady(doc)
    board.sync(OTHER, 1, doc)
  }
  return { claims, clock, entries, gates, notices, released, extended, writes, asked, hold, rival }
}

export const target = (path: string) => ({ path, key: `p/${path}` })
export const termsOf = (instance: string): LockTerms => ({
  projectId: PROJECT,
  instance: InstanceId.parse(instance),
  tokenId: 't',
  reason: null,
  lockedAtMs: 1_800_000_000_000,
  untilMs: 1_800_000_600_000,
})
type Hold = { readonly token: number | null; readonly hlc: Hlc; readonly instance: string; readonly tokenId: string }

export function rivalRecord(path: string, { token = null, hlc = { ms: 1, n: 0 }, ...owner }: Partial<Hold>) {
  const shared = {
    lease: 'e'.repeat(32),
    project: PROJECT,
    ...target(path),
    instance: InstanceId.parse(owner.instance ?? 'rival'),
    tokenId: owner.tokenId ?? 'r',
    reason: null,
    lockedAt: '2026-01-01T00:00:00.000Z',
    expiresAt: '2036-01-01T00:00:00.000Z',
  }
  if (token !== null) return { ...shared, token, grantedAt: shared.lockedAt } satisfies CertifiedRecord
  return { ...shared, token, hlc, settled: true, missing: [] } satisfies ProvisionalRecord
}

export const lease = {
  leaseId: 'a'.repeat(32),
  resources: [],
  fencingToken: 7,
  certificate: { req: { bytes: new Uint8Array(), seal: new Uint8Array() }, grants: [] },
  after: [],
} as unknown as HeldLease

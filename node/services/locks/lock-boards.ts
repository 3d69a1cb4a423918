import { PeerId } from '../../../crdt/ids.ts'
import { LockBoard, lockEvents } from '../../../crdt/lock-board.ts'
import { isProvisional } from '../../../crdt/lock-record.ts'
import { createClaimWatch } from '../claims/claim-watch.ts'
import type { DocId } from '../../../crdt/ids.ts'
import type { LockTransition } from '../../../crdt/lock-board.ts'
import type { LockRecord } from '../../../crdt/lock-record.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { CertificateCheck } from '../claims/claim-certificate.ts'
import type { ClaimWatch } from '../claims/claim-watch.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { Presence } from '../sync/presence.ts'
import { lockResource, lockTarget } from './lock-target.ts'

export type LockBoards = {
  readonly board: LockBoard
  /** Opens the live documents of all members, now and later. */
  start(): Promise<void>
  stop(): void
  /** Takes in what one live document says by now. */
  catchUp(doc: DocId): Promise<void>
  /** Looks again at everything that members and voters decide: both may have changed. */
  reverify(): void
  /** Looks again at who is live: leases of this node have come back. */
  lookAgain(): void
  /** Called after every look at the documents, whether or not it changed what is shown. */
  onLook(listener: () => void): void
  remainingMs(record: LockRecord): number
}

export type LockBoardsDeps = {
  documents: Documents
  leases: Pick<LeaseService, 'isValid'>
  presence: Pick<Presence, 'lastRenewedMonoMs'>
  events: EventHub
  clock: Clock
  log: Log
  self: PeerId
  isMember: (peer: PeerId) => boolean
  certifies: CertificateCheck
  /** Length of a lease: how long a silent holder is still shown. */
  ttlMs?: number
}

/** The one board of locks, kept in step with every member's live document; every change becomes an event once. */
export const createLockBoards = (deps: LockBoardsDeps): LockBoards => new Boards(deps)

type Followed = { readonly generation: number; readonly unpin: () => void }

class Boards implements LockBoards {
  readonly board: LockBoard
  readonly #deps: LockBoardsDeps
  readonly #watch: ClaimWatch
  readonly #followed = new Map<PeerId, Followed>()
  #stopFollowing: () => void = () => undefined
  readonly #listeners: (() => void)[] = []
  #cancelExpiry: Cancel = () => undefined
  #isStopped = false

  constructor(deps: LockBoardsDeps) {
    this.#deps = deps
    this.#watch = createClaimWatch({ ...deps, onFlip: () => this.#refresh() })
    this.board = new LockBoard({
      verify: (node, record, certificate) => isSpelled(record) && this.#isGranted(node, record, certificate),
      isLive: (node, record) => this.#isLive(node, record),
    })
  }

  async start(): Promise<void> {
    this.#stopFollowing = this.#deps.documents.onDocument((doc) => {
      this.catchUp(doc).catch((error: unknown) =>
        this.#deps.log.error({ err: error, doc }, 'a live document could not be opened'),
      )
    })
    await Promise.all(this.#deps.documents.list().map((doc) => this.catchUp(doc)))
  }

  stop(): void {
    this.#isStopped = true
    this.#stopFollowing()
    this.#watch.stop()
    this.#cancelExpiry()
    for (const { unpin } of this.#followed.values()) unpin()
  }

  async catchUp(doc: DocId): Promise<void> {
    const place = placeOf(doc)
    if (!place || this.#isStopped) return
    const { peer, generation } = place
    const before = this.#followed.get(peer)
    if (before && before.generation > generation) return
    if (before?.generation !== generation) {
      const unpin = await this.#deps.documents.open(doc, (_change, state) =>
        this.#tell(this.board.sync(peer, generation, state)),
      )
      const now = this.#followed.get(peer)
      // While this one was opened, another call may have done so, a newer one may have appeared, or the node has stopped.
      if (this.#isStopped || (now && now.generation >= generation)) return unpin()
      now?.unpin()
      this.#followed.set(peer, { generation, unpin })
    }
    this.#tell(this.#deps.documents.readOpen(doc, (state) => this.board.sync(peer, generation, state)))
  }

  reverify(): void {
    this.#tell(this.board.reverify())
  }

  lookAgain(): void {
    this.#watch.lookAgain()
  }

  onLook(listener: () => void): void {
    this.#listeners.push(listener)
  }

  remainingMs(record: LockRecord): number {
    if (!isProvisional(record)) return this.#watch.remainingMs(record.lease)
    return Math.max(0, Date.parse(record.expiresAt) - this.#deps.clock.wallMs())
  }

  #refresh(): void {
    this.#tell(this.board.refresh())
  }

  #isGranted(node: PeerId, record: LockRecord, certificate: Uint8Array | undefined): boolean {
    if (isProvisional(record)) return true
    const { lease: leaseId, token, instance: instanceId } = record
    const claimed = { node, leaseId, token, instanceId, resource: lockResource(record) }
    return certificate !== undefined && this.#deps.certifies(claimed, certificate)
  }

  /** Nobody renews a provisional lock: it stands until its time is up, also while its holder cannot be heard. */
  #isLive(node: PeerId, record: LockRecord): boolean {
    if (isProvisional(record)) return this.#deps.isMember(node) && this.remainingMs(record) > 0
    return this.#watch.isLive({ leaseId: record.lease, node, issuedAtMs: Date.parse(record.grantedAt) })
  }

  #tell(transitions: readonly LockTransition[]): void {
    for (const transition of transitions) for (const event of lockEvents(transition)) this.#deps.events.publish(event)
    this.#armExpiry()
    for (const listener of this.#listeners) listener()
  }

  #armExpiry(): void {
    this.#cancelExpiry()
    if (this.#isStopped) return
    const ends = this.board.active().flatMap(({ record }) => (isProvisional(record) ? [this.remainingMs(record)] : []))
    if (ends.length === 0) return
    const nextMs = Math.min(EXPIRY_LOOK_MAX_MS, ...ends)
    this.#cancelExpiry = this.#deps.clock.after(Math.ceil(nextMs), () => this.#refresh())
  }
}

/** Timers stand still while the host sleeps: the wall clock is looked at again at least this often. */
const EXPIRY_LOOK_MAX_MS = 60_000

/** The key is that of the path, in a project that tells upper from lower case or in one that does not. */
function isSpelled({ key, path, pattern }: LockRecord): boolean {
  const [space = ''] = key.split('/', 1)
  return [false, true].some((caseFold) => {
    const target = lockTarget({ key: space, caseFold }, pattern ?? path)
    return target.ok && target.value.key === key && target.value.path === path
  })
}

function placeOf(doc: DocId): { peer: PeerId; generation: number } | undefined {
  const [kind, name, generation] = doc.split('/')
  const peer = kind === 'live' ? PeerId.safeParse(name) : undefined
  return peer?.success ? { peer: peer.data, generation: Number(generation) } : undefined
}

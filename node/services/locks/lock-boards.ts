import { PeerId } from '../../../crdt/ids.ts'
import { LockBoard, lockEvent } from '../../../crdt/lock-board.ts'
import { createClaimWatch } from '../claims/claim-watch.ts'
import type { DocId } from '../../../crdt/ids.ts'
import type { LockTransition } from '../../../crdt/lock-board.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { CertificateCheck } from '../claims/claim-certificate.ts'
import type { ClaimWatch } from '../claims/claim-watch.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { Presence } from '../sync/presence.ts'

export type LockBoards = {
  readonly board: LockBoard
  /** Opens the live documents of all members, now and later. */
  start(): Promise<void>
  stop(): void
  /** Takes in what one live document says by now. */
  catchUp(doc: DocId): Promise<void>
  remainingMs(leaseId: string): number
}

export type LockBoardsDeps = {
  documents: Documents
  leases: Pick<LeaseService, 'isValid'>
  presence: Pick<Presence, 'lastRenewedMonoMs'>
  events: EventHub
  clock: Clock
  log: Log
  self: PeerId
  certifies: CertificateCheck
  /** Length of a lease: how long a silent holder is still shown. */
  ttlMs?: number
}

/** A path as a lease's resource; a directory covers all that is in it. */
export const lockResource = (lock: { readonly key: string; readonly path: string }) =>
  ({ kind: 'path', key: lock.key, mode: lock.path.endsWith('/') ? 'subtree' : 'exact' }) as const

/** The one board of locks, kept in step with every member's live document; every change becomes an event once. */
export const createLockBoards = (deps: LockBoardsDeps): LockBoards => new Boards(deps)

type Followed = { readonly generation: number; readonly unpin: () => void }

class Boards implements LockBoards {
  readonly board: LockBoard
  readonly #deps: LockBoardsDeps
  readonly #watch: ClaimWatch
  readonly #followed = new Map<PeerId, Followed>()
  #stopFollowing: () => void = () => undefined
  #isStopped = false

  constructor(deps: LockBoardsDeps) {
    this.#deps = deps
    this.#watch = createClaimWatch({ ...deps, onFlip: () => this.#tell(this.board.refresh()) })
    this.board = new LockBoard({
      verify: (node, { lease, token, instance, key, path }, certificate) => {
        const resource = lockResource({ key, path })
        const isSpelled = key === `${key.split('/', 1)[0]}/${path}`.replace(TRAILING_ROOT, '')
        return isSpelled && deps.certifies({ node, leaseId: lease, token, instanceId: instance, resource }, certificate)
      },
      isLive: (node, { lease, lockedAt }) =>
        this.#watch.isLive({ leaseId: lease, node, issuedAtMs: Date.parse(lockedAt) }),
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
      // While this one was opened, another call may have done so, or a newer one may have appeared.
      if (now && now.generation >= generation) return unpin()
      now?.unpin()
      this.#followed.set(peer, { generation, unpin })
    }
    this.#tell(this.#deps.documents.readOpen(doc, (state) => this.board.sync(peer, generation, state)))
  }

  remainingMs(leaseId: string): number {
    return this.#watch.remainingMs(leaseId)
  }

  #tell(transitions: readonly LockTransition[]): void {
    for (const transition of transitions) {
      const event = lockEvent(transition)
      if (event) this.#deps.events.publish(event)
    }
  }
}

/** `<key>/src/` is the key `<key>/src`, and `<key>/./`, the whole project, is `<key>`. */
const TRAILING_ROOT = /(\/\.)?\/$/

function placeOf(doc: DocId): { peer: PeerId; generation: number } | undefined {
  const [kind, name, generation] = doc.split('/')
  const peer = kind === 'live' ? PeerId.safeParse(name) : undefined
  return peer?.success ? { peer: peer.data, generation: Number(generation) } : undefined
}

import type { PeerId } from '../../../crdt/ids.ts'
import { encodeCanonical, toHex } from '../../../protocols/codec.ts'
import type { ClaimEvent, ClaimSpec } from '../../../protocols/lease/claimant.ts'
import { MESSAGE_BYTES_MAX } from '../../../protocols/lease/frame.ts'
import {
  LEASES_PER_OWNER_MAX,
  RESOURCES_PER_LEASE_MAX,
  tokenNumber,
  type Certificate,
} from '../../../protocols/lease/messages.ts'
import { mergePositions } from '../../../protocols/lease/positions.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import type { Documents, FeedPosition } from '../feeds/documents.ts'
import type { Acquisition, Attempt } from './lease-acquire.ts'
import { timerMs, type Claims, type RunningClaim } from './lease-claims.ts'
import type { HeldLeases } from './lease-held.ts'
import type { AcquireRequest, HeldLease } from './lease-service.ts'

export type AttemptsDeps = {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly claims: Claims
  readonly leases: HeldLeases
  readonly reached: Documents['reached']
  readonly membership: () => Membership
  /** The epoch of the current voter set. */
  readonly epoch: () => number
  readonly boot: number
  readonly closing: AbortSignal
}

export type AcquisitionSteps = Pick<
  Acquisition,
  'attempt' | 'pause' | 'pauseUntilFree' | 'missingAuthor' | 'giveBack' | 'isValid'
> & {
  /** Forgets what is kept between attempts. */
  done(): void
}

type Hint = { isFree: boolean; wake: () => void }
type Target = {
  readonly epoch: number
  readonly request: AcquireRequest
  readonly lid: string
  readonly isHasty: boolean
}

/** What acquisitions have in common. */
export class Attempts {
  readonly #deps: AttemptsDeps
  readonly #bootNonce: string
  /** Refused lease ids whose attempt has not been repeated yet. */
  readonly #hints = new Map<string, Hint>()

  constructor(deps: AttemptsDeps) {
    this.#deps = deps
    this.#bootNonce = toHex(deps.random.bytes(8))
  }

  for(request: AcquireRequest): AcquisitionSteps {
    const { claims, leases, random } = this.#deps
    let lid = ''
    return {
      attempt: async (limitMs, isHasty) => {
        if (claims.count >= LEASES_PER_OWNER_MAX || isTooLarge(request)) return { is: 'limit' }
        this.#hints.delete(lid)
        lid = toHex(random.bytes(16))
        this.#hints.set(lid, { isFree: false, wake: () => undefined })
        return await this.#attempt({ epoch: this.#deps.epoch(), request, lid, isHasty }, limitMs)
      },
      pause: async (limitMs) => await this.#pause(undefined, limitMs),
      pauseUntilFree: async (limitMs) => await this.#pause(this.#hints.get(lid), limitMs),
      missingAuthor: async (lease, limitMs) => await missingAuthor(this.#deps, lease, limitMs),
      giveBack: ({ leaseId }) => leases.release(leaseId),
      isValid: ({ leaseId }) => leases.isValid(leaseId),
      done: () => this.#hints.delete(lid),
    }
  }

  /** A voter's hint about a lease id that was refused. */
  wayIsFree(lid: string): void {
    const hint = this.#hints.get(lid)
    if (!hint) return
    hint.isFree = true
    hint.wake()
  }

  /**
   * Goes on with a lease of an earlier process of this node, if nobody else was certified since. Resolves with false when
   * it is lost.
   */
  resume(certificate: Certificate, holdUntilMs: number): Promise<boolean> {
    const { leases, closing } = this.#deps
    const { lid } = certificate.req.body
    return new Promise((resolve) => {
      const conclude = (isResumed: boolean): void => {
        closing.removeEventListener('abort', giveUp)
        resolve(isResumed)
      }
      const giveUp = (): void => conclude(false)
      let isHeld = false
      const onEvent = (event: ClaimEvent): void => {
        if (isHeld) return this.#changed(lid, event)
        isHeld = event.is === 'resumed'
        if (isHeld) leases.add(heldLease(certificate), running, holdUntilMs)
        else running.release()
        conclude(isHeld)
      }
      closing.addEventListener('abort', giveUp)
      const running = this.#takeUp(certificate, onEvent)
    })
  }

  /** Ends a lease of an earlier process without using it. */
  discard(certificate: Certificate): void {
    this.#takeUp(certificate, () => undefined).release()
  }

  #takeUp(certificate: Certificate, onEvent: (event: ClaimEvent) => void): RunningClaim {
    const { claims, boot } = this.#deps
    const { lid, owner, info, res, token } = certificate.req.body
    claims.learnToken(token.n)
    return claims.start({ lid, firstSeq: boot * SEQ_PER_BOOT, owner, info, res, token, isResumed: true }, onEvent)
  }

  /** Resolves with the outcome of the first round; from then on the lease, if there is one, lives in `leases`. */
  #attempt(target: Target, limitMs: number): Promise<Attempt> {
    const { clock, closing } = this.#deps
    return new Promise((resolve) => {
      const conclude = (outcome: Attempt): void => {
        cancelTimer()
        closing.removeEventListener('abort', refuse)
        resolve(outcome)
      }
      const refuse = (): void => {
        const { denies, silent } = running.claim.standing()
        for (const { min } of denies) if (min?.epoch === target.epoch) this.#deps.claims.learnToken(min.n - 1)
        running.release()
        conclude({ is: 'refused', denies, silent })
      }
      const onEvent = (event: ClaimEvent): void => {
        if (event.is === 'refused') refuse()
        else if (event.is === 'certified') conclude(this.#certified(target, running, event.certificate))
        else this.#changed(target.lid, event)
      }
      const cancelTimer = clock.after(timerMs(limitMs), refuse)
      closing.addEventListener('abort', refuse)
      const running = this.#deps.claims.start(this.#spec(target), onEvent)
    })
  }

  #spec({ epoch, request, lid, isHasty }: Target): ClaimSpec {
    return {
      lid,
      firstSeq: this.#deps.boot * SEQ_PER_BOOT,
      owner: `${this.#bootNonce}/${request.owner}`,
      info: request.info,
      res: request.resources,
      token: { epoch, n: this.#deps.claims.nextToken() },
      isHasty,
    }
  }

  #certified({ request }: Target, running: RunningClaim, certificate: Certificate): Attempt {
    this.#deps.claims.learnToken(certificate.req.body.token.n)
    const lease = heldLease(certificate)
    this.#deps.leases.add(lease, running, request.holdUntilMs)
    return { is: 'certified', lease }
  }

  #changed(leaseId: string, event: ClaimEvent): void {
    if (event.is === 'lost') this.#deps.leases.lose(leaseId)
    if (event.is === 'retokened') this.#deps.leases.replace(heldLease(event.certificate))
    this.#deps.leases.confirmed(leaseId)
    if (event.is !== 'renewed') this.#deps.log.info({ leaseId, state: event.is }, 'a lease has changed its state')
  }

  #pause(hint: Hint | undefined, limitMs: number): Promise<void> {
    const { clock, closing } = this.#deps
    return new Promise((resolve) => {
      const wake = (): void => {
        cancel()
        closing.removeEventListener('abort', wake)
        resolve()
      }
      const cancel = clock.after(timerMs(limitMs), wake)
      closing.addEventListener('abort', wake)
      if (hint) hint.wake = wake
      if (hint?.isFree) wake()
    })
  }
}

/** More renewals than any process lives to make. */
const SEQ_PER_BOOT = 2 ** 20

const heldLease = ({ req, grants }: Certificate): HeldLease => ({
  leaseId: req.body.lid,
  resources: req.body.res,
  fencingToken: tokenNumber(req.body.token),
  certificate: { req, grants },
  after: mergePositions(grants.flatMap(({ body }) => body.after)),
})

/** Of a message, for what is not resources. */
const REST_BYTES_MAX = 16 * 1024

const isTooLarge = ({ resources }: AcquireRequest): boolean =>
  resources.length > RESOURCES_PER_LEASE_MAX ||
  encodeCanonical(resources).byteLength > MESSAGE_BYTES_MAX - REST_BYTES_MAX

async function missingAuthor(
  { clock, reached, membership, closing }: AttemptsDeps,
  { after }: HeldLease,
  limitMs: number,
): Promise<PeerId | undefined> {
  const due = after.flatMap((position) => attainable(membership(), position) ?? [])
  if (due.length === 0) return undefined
  const timeout = new AbortController()
  const cancel = clock.after(limitMs, () => timeout.abort(new Error('the last writes did not arrive in time')))
  try {
    const signal = AbortSignal.any([timeout.signal, closing])
    const arrived = await Promise.all(due.map(async (position) => await reached(position, signal)))
    return due.find((_, i) => arrived[i] === false)?.author
  } finally {
    cancel()
  }
}

/** What a former member wrote beyond its cut is void everywhere: it would be waited for in vain. */
function attainable(membership: Membership, position: FeedPosition): FeedPosition | undefined {
  const cuts = membership.removed.get(position.author)
  if (!cuts) return position
  const cut = cuts.get(position.doc)
  return cut && { ...position, seq: Math.min(position.seq, cut.seq) }
}

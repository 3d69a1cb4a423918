import type { PeerId } from '../../../../crdt/ids.ts'
import type { HeldLease, LeaseService } from '../../../../node/services/leases/lease-service.ts'
import { maskOf, type Mask } from '../universe.ts'
import type { Violations } from '../../violations.ts'
import { areComparable } from './lines.ts'

/** The leases of one process, as it sees them itself. */
export type Holder = { readonly peer: PeerId; readonly leases: LeaseService }

type Belief = {
  lease: HeldLease
  holder: Holder
  readonly owner: string
  readonly mask: Mask
  /** Number of its latest certification among all of the world. */
  order: number
  wasValid: boolean
}

type Certification = { readonly belief: Belief; readonly token: number }

/**
 * I1, I2 and I2b in true time. A belief can only begin at an event of its process, so it is enough to compare it with
 * the others whenever it begins: whatever overlaps it later begins later. A lease that is carried over to other voters
 * is certified again; one that a restarted process goes on with is not.
 */
export class Beliefs {
  readonly #violations: Violations
  readonly #onCertified: (lease: HeldLease) => void
  readonly #onResumed: (lease: HeldLease) => void
  /** Every lease that was ever certified. */
  readonly #known = new Map<string, Belief>()
  readonly #ofHolder = new Map<Holder, Set<Belief>>()
  readonly #certified: Certification[] = []

  constructor(
    violations: Violations,
    on: { certified: (lease: HeldLease) => void; resumed: (lease: HeldLease) => void },
  ) {
    this.#violations = violations
    this.#onCertified = on.certified
    this.#onResumed = on.resumed
  }

  /** To be called after everything that happened in the holder's process. */
  observe(holder: Holder): void {
    const held = holder.leases.held()
    const mine = this.#ofHolder.get(holder) ?? new Set()
    if (held.length === 0 && mine.size === 0) return
    this.#ofHolder.set(holder, mine)
    for (const belief of mine) {
      if (held.some(({ leaseId }) => leaseId === belief.lease.leaseId)) continue
      mine.delete(belief)
      belief.wasValid = false
    }
    for (const lease of held) mine.add(this.#take(holder, lease))
    for (const belief of mine) this.#refresh(belief)
  }

  /** The process has ended: it believes nothing. */
  forget(holder: Holder): void {
    for (const belief of this.#ofHolder.get(holder) ?? []) belief.wasValid = false
    this.#ofHolder.delete(holder)
  }

  #take(holder: Holder, lease: HeldLease): Belief {
    const known = this.#known.get(lease.leaseId)
    if (!known) return this.#begin(holder, lease)
    if (known.holder !== holder) this.#onResumed(lease)
    const { fencingToken: before } = known.lease
    known.holder = holder
    known.lease = lease
    if (lease.fencingToken === before) return known
    if (lease.fencingToken < before) this.#violations.add('I2', `the token of ${nameOf(known)} falls`)
    this.#checkInterlopers(known)
    this.#certify(known)
    return known
  }

  #begin(holder: Holder, lease: HeldLease): Belief {
    const { owner, node } = lease.certificate.req.body
    const mask = maskOf(lease.resources)
    const belief = { lease, holder, owner: `${node} ${owner}`, mask, order: 0, wasValid: false }
    this.#known.set(lease.leaseId, belief)
    this.#certify(belief)
    return belief
  }

  #certify(belief: Belief): void {
    const token = belief.lease.fencingToken
    for (const earlier of this.#certified) {
      if (earlier.belief === belief || !areRivals(earlier.belief, belief)) continue
      if (earlier.token < token || !areComparable(earlier.token, token)) continue
      this.#violations.add('I2', `${token} was certified after ${earlier.token} (${both(earlier.belief, belief)})`)
    }
    belief.order = this.#certified.push({ belief, token }) - 1
    this.#onCertified(belief.lease)
  }

  #refresh(belief: Belief): void {
    const isValid = belief.holder.leases.isValid(belief.lease.leaseId)
    if (isValid && !belief.wasValid) {
      this.#checkExclusion(belief)
      this.#checkInterlopers(belief)
    }
    belief.wasValid = isValid
  }

  #checkExclusion(belief: Belief): void {
    for (const mine of this.#ofHolder.values()) {
      for (const other of mine) {
        if (!areRivals(other, belief) || !other.holder.leases.isValid(other.lease.leaseId)) continue
        if (!areComparable(other.lease.fencingToken, belief.lease.fencingToken)) continue
        this.#violations.add('I1', `two holders at once (${both(other, belief)})`)
      }
    }
  }

  #checkInterlopers(belief: Belief): void {
    for (let i = belief.order + 1; i < this.#certified.length; i++) {
      const later = this.#certified[i]
      if (!later || !areRivals(later.belief, belief)) continue
      if (!areComparable(later.token, belief.lease.fencingToken)) continue
      this.#violations.add('I2b', `valid again although another was certified since (${both(belief, later.belief)})`)
    }
  }
}

const areRivals = (a: Belief, b: Belief): boolean => (a.mask & b.mask) !== 0 && a.owner !== b.owner

const nameOf = ({ lease, owner }: Belief): string => `${lease.leaseId.slice(0, 6)} of …${owner.slice(-24)}`
const both = (a: Belief, b: Belief): string => `${nameOf(a)}, then ${nameOf(b)}`

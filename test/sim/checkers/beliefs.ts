import type { PeerId } from '../../../crdt/ids.ts'
import type { HeldLease, LeaseService } from '../../../node/services/leases/lease-service.ts'
import { maskOf, type Mask } from '../universe.ts'
import type { Violations } from '../violations.ts'

/** The leases of one process, as it sees them itself. */
export type Holder = { readonly peer: PeerId; readonly leases: LeaseService }

type Belief = {
  readonly lease: HeldLease
  readonly holder: Holder
  readonly owner: string
  readonly mask: Mask
  /** Position among all certifications of the world. */
  readonly order: number
  wasValid: boolean
}

/**
 * I1, I2 and I2b in true time. A belief can only begin at an event of its process, so it is enough to compare it with
 * the others whenever it begins: whatever overlaps it later begins later.
 */
export class Beliefs {
  readonly #violations: Violations
  readonly #onCertified: (lease: HeldLease) => void
  readonly #current = new Map<string, Belief>()
  readonly #ofHolder = new Map<Holder, Set<Belief>>()
  readonly #certified: Belief[] = []

  constructor(violations: Violations, onCertified: (lease: HeldLease) => void) {
    this.#violations = violations
    this.#onCertified = onCertified
  }

  /** To be called after everything that happened in the holder's process. */
  observe(holder: Holder): void {
    const mine = this.#ofHolder.get(holder) ?? new Set()
    const held = holder.leases.held()
    if (held.length === 0 && mine.size === 0) return
    this.#ofHolder.set(holder, mine)
    for (const belief of mine) {
      if (held.some(({ leaseId }) => leaseId === belief.lease.leaseId)) continue
      mine.delete(belief)
      this.#current.delete(belief.lease.leaseId)
    }
    for (const lease of held) if (!this.#current.has(lease.leaseId)) mine.add(this.#certify(holder, lease))
    for (const belief of mine) this.#refresh(belief)
  }

  /** The process has ended: it believes nothing. */
  forget(holder: Holder): void {
    for (const { lease } of this.#ofHolder.get(holder) ?? []) this.#current.delete(lease.leaseId)
    this.#ofHolder.delete(holder)
  }

  #certify(holder: Holder, lease: HeldLease): Belief {
    const { owner, node } = lease.certificate.req
    const mask = maskOf(lease.resources)
    const belief = { lease, holder, owner: `${node} ${owner}`, mask, order: this.#certified.length, wasValid: false }
    for (const earlier of this.#certified) {
      if ((earlier.mask & mask) === 0) continue
      const [before, after] = [earlier.lease.fencingToken, lease.fencingToken]
      if (after === before || (after < before && earlier.owner !== belief.owner)) {
        this.#violations.add('I2', `token ${after} was certified after ${before} (${describe(earlier, belief)})`)
      }
    }
    this.#certified.push(belief)
    this.#current.set(lease.leaseId, belief)
    this.#onCertified(lease)
    return belief
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
    for (const other of this.#current.values()) {
      if ((other.mask & belief.mask) === 0 || other.owner === belief.owner) continue
      other.wasValid = other.holder.leases.isValid(other.lease.leaseId)
      if (other.wasValid) this.#violations.add('I1', `two holders at once (${describe(other, belief)})`)
    }
  }

  #checkInterlopers(belief: Belief): void {
    for (let i = belief.order + 1; i < this.#certified.length; i++) {
      const later = this.#certified[i]
      if (!later || (later.mask & belief.mask) === 0 || later.owner === belief.owner) continue
      this.#violations.add('I2b', `valid again although another was certified since (${describe(belief, later)})`)
    }
  }
}

const describe = (a: Belief, b: Belief): string =>
  [a, b].map(({ lease, owner }) => `${lease.leaseId.slice(0, 6)} of …${owner.slice(-24)}`).join(', then ')

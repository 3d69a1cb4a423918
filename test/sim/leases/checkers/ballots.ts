import { toHex } from '../../../../protocols/codec.ts'
import type { SealVote } from '../../../../protocols/lease/ballot.ts'
import type { Violations } from '../../violations.ts'

/** As much of a voter set as counting takes. */
export type Electorate = {
  readonly epoch: number
  readonly quorum: number
  readonly incarnations: ReadonlyMap<string, string>
}

type Ballot = { readonly next: string; readonly voters: Set<string> }

/**
 * I7: of every voter set at most one successor is decided. Counted from the seals that leave the voters, whoever gets to
 * see them.
 */
export class Ballots {
  readonly #violations: Violations
  readonly #find: (cid: Uint8Array) => Electorate | undefined
  readonly #ballots = new Map<string, Ballot>()
  /** By the hash of a set, that of its successor. */
  readonly #decided = new Map<string, string>()

  constructor(violations: Violations, find: (cid: Uint8Array) => Electorate | undefined) {
    this.#violations = violations
    this.#find = find
  }

  get decisions(): number {
    return this.#decided.size
  }

  sealed(seal: SealVote): void {
    const set = this.#find(seal.cid)
    if (!set) return this.#violations.add('I7', `${seal.voter} seals a set that nobody ever heard of`)
    if (set.incarnations.get(seal.voter) !== seal.inc) return
    const cid = toHex(seal.cid)
    const next = toHex(seal.next)
    const key = `${cid} ${seal.ballot.n}/${seal.ballot.id}`
    const ballot = this.#ballots.get(key) ?? { next, voters: new Set() }
    this.#ballots.set(key, ballot)
    if (ballot.next !== next) this.#violations.add('I7', `one ballot of epoch ${set.epoch} is for two sets`)
    ballot.voters.add(seal.voter)
    if (ballot.voters.size < set.quorum) return
    const known = this.#decided.get(cid)
    if (known !== undefined && known !== next) this.#violations.add('I7', `epoch ${set.epoch} has two successors`)
    this.#decided.set(cid, next)
  }
}

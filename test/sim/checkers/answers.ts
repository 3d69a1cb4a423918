import { toHex } from '../../../protocols/codec.ts'
import type { Grant } from '../../../protocols/lease/messages.ts'
import type { Violations } from '../violations.ts'
import type { VoterPromises } from './promises.ts'

/**
 * What may leave a voter: only grants whose record is on its disk (I9), of an incarnation whose disk was not lost
 * since, and one counter never for two grants (I10). An older one may well leave for the first time: after a crash
 * between the disk and the network.
 */
export class SignedAnswers {
  readonly #name: string
  readonly #promises: VoterPromises
  readonly #violations: Violations
  /** Hashes of the requests granted, by `<incarnation>/<counter>`. */
  readonly #sent = new Map<string, string>()
  readonly #lost = new Set<string>()

  constructor(name: string, promises: VoterPromises, violations: Violations) {
    this.#name = name
    this.#promises = promises
    this.#violations = violations
  }

  wiped(inc: string): void {
    this.#lost.add(inc)
  }

  grantLeaves({ inc, vseq, reqHash }: Grant): void {
    if (this.#lost.has(inc)) this.#report('L2.11', `votes as ${inc.slice(0, 6)}, whose disk was lost`)
    else if (!this.#promises.isDurable(inc, vseq)) this.#report('I9', `sends grant ${vseq} before it is on disk`)
    const request = toHex(reqHash)
    const known = this.#sent.get(`${inc}/${vseq}`)
    if (known === undefined) this.#sent.set(`${inc}/${vseq}`, request)
    else if (known !== request) this.#report('I10', `uses counter ${vseq} for two grants`)
  }

  #report(rule: string, what: string): void {
    this.#violations.add(rule, `${this.#name} ${what}`)
  }
}

import { toHex } from '../../../../protocols/codec.ts'
import type { Answer } from '../wire.ts'
import type { Violations } from '../../violations.ts'
import type { VoterPromises } from './promises.ts'

type SignedAnswer = Extract<Answer, { body: unknown }>

/**
 * What may leave a voter: only what its record on the disk stands for (I9), of an incarnation whose disk was not lost
 * since, and one counter never for two statements (I10). An older one may well leave for the first time: after a crash
 * between the disk and the network.
 */
export class SignedAnswers {
  readonly #name: string
  readonly #promises: VoterPromises
  readonly #violations: Violations
  /** What was stated, by `<incarnation>/<counter>`. */
  readonly #sent = new Map<string, string>()

  constructor(name: string, promises: VoterPromises, violations: Violations) {
    this.#name = name
    this.#promises = promises
    this.#violations = violations
  }

  /** The disk was lost, and with it the right to speak for its incarnations. */
  readonly #lost = new Set<string>()
  readonly #used = new Set<string>()

  wiped(): void {
    for (const inc of this.#used) this.#lost.add(inc)
  }

  leaves(answer: SignedAnswer): void {
    const { inc } = answer.body
    this.#used.add(inc)
    if (this.#lost.has(inc)) this.#report('L2.11', `votes as ${inc.slice(0, 6)}, whose disk was lost`)
    const { vseq } = answer.body
    if (!this.#lost.has(inc) && !this.#promises.isDurable(inc, vseq)) {
      this.#report('I9', `sends ${answer.t} ${vseq} before it is on disk`)
    }
    const key = `${inc}/${vseq}`
    const statement = statementOf(answer)
    const known = this.#sent.get(key)
    if (known === undefined) this.#sent.set(key, statement)
    else if (known !== statement) this.#report('I10', `uses counter ${vseq} for two statements`)
  }

  #report(rule: string, what: string): void {
    this.#violations.add(rule, `${this.#name} ${what}`)
  }
}

function statementOf(answer: SignedAnswer): string {
  if (answer.t === 'grant') return `grant ${toHex(answer.body.reqHash)}`
  const { n, id } = answer.body.ballot
  return `${answer.t} ${n}/${id}`
}

import type { Random } from '../../node/ports/random.ts'
import { randomFraction } from '../../node/ports/random.ts'
import { toHex } from '../../protocols/codec.ts'
import type { Promised, SealVote } from '../../protocols/lease/ballot.ts'
import { voterSetOf, type VoterSet } from '../../protocols/lease/config.ts'
import type { Decision, Reply } from '../../protocols/lease/decision.ts'
import { MAX_TTL_MS, type Grant, type LeaseRequest } from '../../protocols/lease/messages.ts'
import { Proposal, type Decided, type ProposalMessage } from '../../protocols/lease/proposal.ts'
import { decodeRecord } from '../../protocols/lease/records.ts'
import { pack, type Packed, type Signed } from '../../protocols/lease/signing.ts'
import { createSeededRandom } from './identity.ts'
import { configOf, hex, path, peer, requestOf, signaturesOf, VoterLab } from './lease-lab.ts'
import { successorOf } from './succession-lab.ts'

/** On its way to a voter, or from one to whoever proposes. */
type Mail =
  | { readonly to: number; readonly message: SignedProposal | { t: 'request'; m: Signed<LeaseRequest> } }
  | { readonly answer: Exclude<Reply, { is: 'deny' | 'prove' }>; readonly from: number }
type SignedProposal = {
  [M in ProposalMessage as M['t']]: { t: M['t']; m: Signed<M['m']['body']> }
}[ProposalMessage['t']]

type Proposer = { readonly by: number; readonly own: Packed | undefined; proposal: Proposal }

/** What may be removed from the protocol, to see that it is missed. */
export type Sabotage = 'voters forget' | 'proposers insist'

/** A voter whose unsynced records may be lost; nothing it says leaves before they are durable. */
class SimVoter extends VoterLab {
  durable: number
  pending: Reply[] = []
  readonly #forgets: boolean

  constructor(number: number, set: VoterSet, forgets: boolean) {
    super(number, set)
    this.durable = this.journal.length
    this.#forgets = forgets
  }

  do(work: (nowMs: number) => Decision): void {
    const { reply } = this.keep(work(this.nowMs))
    if (reply) this.pending.push(reply)
  }

  sync(): Reply[] {
    this.durable = this.journal.length
    return this.pending.splice(0).filter((reply) => this.voter.settle(reply))
  }

  crash(keep: number): void {
    this.pending = []
    const left = this.journal.slice(0, this.durable + keep)
    this.durable = left.length
    this.restart(this.#forgets ? left.filter((bytes) => !['prom', 'seal'].includes(decodeRecord(bytes).t)) : left)
    this.durable = this.journal.length
  }
}

export type SuccessionRun = {
  /** Hashes of all configurations that some quorum sealed by one ballot. */
  readonly decided: ReadonlySet<string>
  /** What proposers came to know as decided. */
  readonly learned: ReadonlySet<string>
  /** Leases that a quorum granted and that the seals of a decision do not know. */
  readonly forgotten: readonly string[]
  readonly counts: { certified: number; crashes: number; deaths: number; values: number; lost: number }
}

/** Three voters of epoch 1, two admins and the voters themselves that propose at once, and a network that does its worst. */
export class SuccessionSim {
  readonly set = voterSetOf(configOf(3))
  readonly #random: Random
  readonly #voters: SimVoter[]
  readonly #sabotage: Sabotage | undefined
  readonly #mail: Mail[] = []
  #proposers: Proposer[] = []
  #nowMs = 0
  #nonce = 1
  readonly #sealsByBallot = new Map<string, Signed<SealVote>[]>()
  readonly #grants = new Map<string, Set<number>>()
  readonly #lidOf = new Map<string, string>()
  readonly #learned = new Map<string, Decided>()
  readonly #estates = new Map<string, string>()
  readonly #counts = { certified: 0, crashes: 0, deaths: 0, values: 0, lost: 0 }

  constructor(seed: number, sabotage?: Sabotage) {
    this.#random = createSeededRandom(seed)
    this.#sabotage = sabotage
    this.#voters = [1, 2, 3].map((n) => new SimVoter(n, this.set, sabotage === 'voters forget'))
    for (const voter of this.#voters) voter.admins.add(peer(2))
  }

  run(steps: number): SuccessionRun {
    for (let i = 0; i < steps; i++) this.#step()
    this.#heal()
    return this.#result()
  }

  #step(): void {
    const dice = this.#draw(100)
    if (dice < 45) this.#deliver(this.#draw(this.#mail.length), this.#draw(10) === 0)
    else if (dice < 55) this.#lose()
    else if (dice < 75) this.#sync(this.#draw(3))
    else if (dice < 80) this.#crash(this.#voters[this.#draw(3)]!)
    else if (dice < 84) this.#startProposer()
    else if (dice < 86) this.#killProposer()
    else if (dice < 92) this.#ask()
    else this.#advance(this.#draw(800))
  }

  /** No more faults: whoever is there completes what was begun. */
  #heal(): void {
    for (const voter of this.#voters) this.#crash(voter)
    this.#start(1, pack(successorOf(this.set, [1])))
    for (let round = 0; round < 400 && this.#learned.size === 0; round++) {
      for (const voter of [0, 1, 2]) this.#sync(voter)
      while (this.#mail.length > 0) {
        this.#deliver(0, false)
        for (const voter of [0, 1, 2]) this.#sync(voter)
      }
      this.#advance(500)
    }
  }

  #advance(ms: number): void {
    this.#nowMs += ms
    for (const voter of this.#voters) voter.nowMs = this.#nowMs
    for (const { by, proposal } of this.#proposers) {
      const send = proposal.poll(this.#nowMs)
      if (!send) continue
      const { t, m } = send.message
      const signed = { t, m: { ...m, seal: signaturesOf(by).seal([m])[0]! } } as SignedProposal
      for (const to of [1, 2, 3]) if (send.to.includes(peer(to))) this.#mail.push({ to, message: signed })
    }
  }

  #deliver(at: number, isCopied: boolean): void {
    const mail = this.#mail[at]
    if (!mail) return
    if (!isCopied) this.#mail.splice(at, 1)
    if ('answer' in mail) return this.#answer(mail)
    const voter = this.#voters[mail.to - 1]!
    const { message } = mail
    const { succession } = voter.voter
    if (message.t === 'request') voter.do((nowMs) => voter.voter.decide(message.m.body.node, message.m, nowMs))
    else if (message.t === 'prepare') voter.do((nowMs) => succession.prepare(message.m, nowMs))
    else voter.do((nowMs) => succession.accept(message.m, nowMs))
  }

  /** Everybody who proposes hears everything: whose it is not ignores it. */
  #answer({ answer, from }: Extract<Mail, { answer: unknown }>): void {
    for (const { proposal } of this.#proposers) {
      if (answer.is === 'outbid') proposal.onOutbid(answer.body.ballot, this.#nowMs)
      if (answer.is !== 'promise' && answer.is !== 'seal') continue
      const signed = { ...answer.draft, seal: signaturesOf(from).seal([answer.draft])[0]! }
      if (answer.is === 'promise') proposal.onPromise(this.#censored(signed as Signed<Promised>, from))
      else this.#learn(proposal.onSeal(signed as Signed<SealVote>))
    }
  }

  #censored(promise: Signed<Promised>, from: number): Signed<Promised> {
    if (this.#sabotage !== 'proposers insist') return promise
    const { accepted: _hidden, ...body } = promise.body
    return signaturesOf(from).sign('promise', body)
  }

  #learn(decided: Decided | undefined): void {
    if (decided) this.#learned.set(toHex(decided.epoch.set.cid), decided)
  }

  #sync(at: number): void {
    const voter = this.#voters[at]!
    for (const reply of voter.sync()) {
      if (reply.is === 'grant') this.#note(voter.number, reply.draft.body)
      if (reply.is === 'seal') this.#noteSeal(voter, reply.draft.body as SealVote)
      if (reply.is !== 'deny' && reply.is !== 'prove') this.#mail.push({ answer: reply, from: voter.number })
    }
  }

  #note(voter: number, { reqHash, lid }: Grant): void {
    const key = toHex(reqHash)
    const voters = this.#grants.get(key) ?? new Set()
    this.#grants.set(key, voters.add(voter))
    this.#lidOf.set(key, lid)
  }

  #noteSeal(voter: SimVoter, body: SealVote): void {
    const key = `${body.ballot.n}/${body.ballot.id}/${toHex(body.next)}`
    const seals = this.#sealsByBallot.get(key) ?? []
    this.#sealsByBallot.set(key, [
      ...seals.filter((seal) => seal.body.voter !== body.voter),
      { body } as Signed<SealVote>,
    ])
    const page = voter.voter.succession.page(body.estate, 0)!
    this.#estates.set(estateKey(body), Buffer.from(page).toString('latin1'))
  }

  #lose(): void {
    if (this.#mail.length === 0) return
    this.#mail.splice(this.#draw(this.#mail.length), 1)
    this.#counts.lost += 1
  }

  #crash(voter: SimVoter): void {
    voter.crash(this.#draw(1 + voter.journal.length - voter.durable))
    this.#counts.crashes += 1
  }

  #startProposer(): void {
    if (this.#proposers.length >= 3) return
    const who = this.#draw(4)
    if (who === 3) this.#start(3, undefined)
    else this.#start(1 + (who % 2), pack(successorOf(this.set, [[4], [5], [6]][this.#draw(3)]!)))
  }

  #start(by: number, own: Packed | undefined): void {
    const signatures = signaturesOf(by)
    const proposal = new Proposal(
      {
        signatures,
        voters: this.set,
        nonce: () => hex(this.#nonce++ * 0x10000 + this.#draw(0x10000)),
        retransmitMs: 1000,
        backoffMs: () => this.#draw(2000),
      },
      own,
    )
    if (own) this.#counts.values += 1
    this.#proposers.push({ by, own, proposal })
  }

  #killProposer(): void {
    if (this.#proposers.splice(this.#draw(this.#proposers.length), 1).length > 0) this.#counts.deaths += 1
  }

  #ask(): void {
    const n = this.#nonce++
    const request = requestOf(
      { by: 21 + this.#draw(2), lid: hex(n), n, ttl: MAX_TTL_MS, res: [path(`f${this.#draw(2)}`)] },
      this.set,
    )
    for (const to of [1, 2, 3]) this.#mail.push({ to, message: { t: 'request', m: request } })
  }

  #draw(below: number): number {
    return Math.floor(randomFraction(this.#random) * below)
  }

  #result(): SuccessionRun {
    const { quorum } = this.set
    const certified = [...this.#grants]
      .filter(([, voters]) => voters.size >= quorum)
      .map(([key]) => this.#lidOf.get(key)!)
    this.#counts.certified = certified.length
    const decisions = [...this.#sealsByBallot.values()].filter((seals) => seals.length >= quorum)
    const forgotten = decisions.flatMap((seals) => {
      const known = seals.map(({ body }) => this.#estates.get(estateKey(body)) ?? '').join(' ')
      return certified.filter((lid) => !known.includes(lid))
    })
    return {
      decided: new Set(decisions.map(([first]) => toHex(first!.body.next))),
      learned: new Set(this.#learned.keys()),
      forgotten,
      counts: this.#counts,
    }
  }
}

const estateKey = ({ voter, estate }: SealVote): string => `${voter}/${toHex(estate)}`

import type { PeerId } from '../../crdt/ids.ts'
import { encodeCanonical, equalBytes, MalformedError } from '../codec.ts'
import {
  isBelow,
  isSameBallot,
  type Accept,
  type Accepted,
  type Ballot,
  type Prepare,
  type Promised,
} from './ballot.ts'
import type { SealVote } from './ballot.ts'
import { readConfig, type VoterSet } from './config.ts'
import { verifySeals, type Epoch } from './epochs.ts'
import { pack, type Draft, type Packed, type Signatures, type Signed } from './signing.ts'

export type ProposalEnv = {
  readonly signatures: Signatures
  /** The voters that decide: those of the epoch to be replaced. */
  readonly voters: VoterSet
  /** 32 random hex digits, never the same twice: a ballot of an earlier process must not be used for another value. */
  readonly nonce: () => string
  readonly retransmitMs: number
  /** Pause after being outbid, in ms. */
  readonly backoffMs: () => number
}

export type ProposalMessage =
  | { readonly t: 'prepare'; readonly m: Draft<Prepare> }
  | { readonly t: 'accept'; readonly m: Draft<Accept> }

/** `bytes` is the encoded certificate that proves the decision to anybody who knows the voters before. */
export type Decided = { readonly epoch: Epoch; readonly bytes: Uint8Array }

type Phase = {
  readonly message: ProposalMessage
  sentMs: number
  readonly answers: Map<PeerId, Signed<Promised> | Signed<SealVote>>
}

/**
 * The proposer of one change of the voter set (L2.7). It may find that another value was accepted already and then
 * completes that one: whoever proposes looks at what was decided. Without a value of its own it only completes.
 */
export class Proposal {
  readonly #env: ProposalEnv
  readonly #own: Packed | undefined
  #ballot: Ballot
  #phase: Phase | undefined
  #nextMs = -Infinity
  #value: { config: Packed; set: VoterSet } | undefined
  #isOver = false

  constructor(env: ProposalEnv, own: Packed | undefined) {
    this.#env = env
    this.#own = own
    this.#ballot = { n: 1, id: env.nonce() }
  }

  /** Voters that have not answered the phase under way. */
  silent(): PeerId[] {
    return [...this.#env.voters.incarnations.keys()].filter((peer) => !this.#phase?.answers.has(peer))
  }

  /** Nothing was accepted and there is nothing to propose: the epoch goes on as it is. */
  get isIdle(): boolean {
    return this.#isOver
  }

  /** To be called at `dueMs` or any time before or after. */
  poll(nowMs: number): { readonly message: ProposalMessage; readonly to: readonly PeerId[] } | undefined {
    if (this.#isOver || nowMs < this.dueMs()) return undefined
    // A quorum has accepted nothing. The others had their time to say whether one of them did: it would stay sealed.
    if (this.#phase && this.#isAnswered(this.#phase)) {
      this.#isOver = true
      return undefined
    }
    this.#phase ??= { message: this.#prepare(), sentMs: nowMs, answers: new Map() }
    this.#phase.sentMs = nowMs
    return { message: this.#phase.message, to: this.silent() }
  }

  dueMs(): number {
    if (this.#isOver) return Infinity
    return this.#phase ? this.#phase.sentMs + this.#env.retransmitMs : this.#nextMs
  }

  onPromise(promise: Signed<Promised>): void {
    const phase = this.#phase
    if (phase?.message.t !== 'prepare' || !this.#isAnswer(promise)) return
    const { accepted } = promise.body
    if (accepted && !this.#couldFollow(accepted.config)) return
    phase.answers.set(promise.body.voter, promise)
    if (!this.#isAnswered(phase)) return
    this.#value = this.#choose([...phase.answers.values()] as Signed<Promised>[])
    if (this.#value) {
      this.#phase = { message: this.#accept(this.#value.config), sentMs: -Infinity, answers: new Map() }
    } else if (this.silent().length === 0) this.#isOver = true
  }

  onOutbid(ballot: Ballot, nowMs: number): void {
    if (this.#isOver || !isBelow(this.#ballot, ballot)) return
    this.#ballot = { n: ballot.n + 1, id: this.#env.nonce() }
    this.#phase = undefined
    this.#nextMs = nowMs + this.#env.backoffMs()
  }

  onSeal(seal: Signed<SealVote>): Decided | undefined {
    const phase = this.#phase
    const value = this.#value
    if (phase?.message.t !== 'accept' || !value || !this.#isAnswer(seal)) return undefined
    if (!equalBytes(seal.body.next, value.set.cid)) return undefined
    phase.answers.set(seal.body.voter, seal)
    if (!this.#isAnswered(phase)) return undefined
    this.#isOver = true
    const certificate = { config: value.config, seals: [...phase.answers.values()].map(pack) }
    const epoch = verifySeals(this.#env.signatures, { before: this.#env.voters, set: value.set }, certificate)
    return { epoch, bytes: encodeCanonical(certificate) }
  }

  #isAnswered({ answers }: Phase): boolean {
    return answers.size >= this.#env.voters.quorum
  }

  #isAnswer({ body, ...signed }: Signed<Promised> | Signed<SealVote>): boolean {
    const { voters, signatures } = this.#env
    return (
      body.epoch === voters.epoch &&
      equalBytes(body.cid, voters.cid) &&
      isSameBallot(body.ballot, this.#ballot) &&
      voters.incarnations.get(body.voter) === body.inc &&
      signatures.isSignedBy(body.voter, { body, ...signed })
    )
  }

  /** An honest voter accepts nothing else. */
  #couldFollow(config: Packed): boolean {
    try {
      const { epoch, prev, space } = readConfig(this.#env.signatures, config).config.body
      const { voters } = this.#env
      const isNext = epoch === voters.epoch + 1 && space === voters.config.body.space
      return isNext && prev !== null && equalBytes(prev, voters.cid)
    } catch (error) {
      if (error instanceof MalformedError) return false
      throw error
    }
  }

  /** The value of the highest ballot that anybody accepted may have been decided: nothing else may be proposed. */
  #choose(promises: readonly Signed<Promised>[]): { config: Packed; set: VoterSet } | undefined {
    let highest: Accepted | undefined
    for (const { body } of promises) {
      if (body.accepted && (!highest || isBelow(highest.ballot, body.accepted.ballot))) highest = body.accepted
    }
    const config = highest?.config ?? this.#own
    return config && { config, set: readConfig(this.#env.signatures, config) }
  }

  #prepare(): ProposalMessage {
    const m = this.#env.signatures.draft<Prepare>('prepare', {
      ...this.#from(),
      ballot: this.#ballot,
      node: this.#self,
    })
    return { t: 'prepare', m }
  }

  #accept(config: Packed): ProposalMessage {
    const body = { ...this.#from(), ballot: this.#ballot, config, node: this.#self }
    return { t: 'accept', m: this.#env.signatures.draft<Accept>('accept', body) }
  }

  get #self(): PeerId {
    return this.#env.signatures.self
  }

  #from(): Pick<Prepare, 'v' | 'space' | 'epoch' | 'cid'> {
    const { epoch, cid, config } = this.#env.voters
    return { v: 1, space: config.body.space, epoch, cid }
  }
}

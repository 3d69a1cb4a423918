import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { encodeCanonical, equalBytes } from '../../../protocols/codec.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import { forcedEpochAfter } from '../../../protocols/lease/epochs.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { VOTERS_MAX, type Config } from '../../../protocols/lease/messages.ts'
import type { Decided } from '../../../protocols/lease/proposal.ts'
import { pack, type Signatures } from '../../../protocols/lease/signing.ts'
import { hasCapability, type Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import { timerMs } from './lease-claims.ts'
import type { Proposals } from './voter-proposals.ts'
import type { VoterChange } from './voter-service.ts'
import type { VoterSets } from './voter-sets.ts'

/** How long new voters are asked for their offer, and the old ones for their agreement. */
const CANDIDATES_MS = 5000
const DECISION_MS = 20_000

/** What a change of voters writes into the membership log. */
export type VoterLog = {
  /** Durable when it resolves. A set that is in the log already is not written twice. */
  publishSealed(certificate: Uint8Array): Promise<Result<unknown>>
  publishForced(config: Uint8Array, reason: string): Promise<Result<unknown>>
  publishFault(proof: Uint8Array): Promise<Result<unknown>>
}

export type VoterChangeDeps = {
  readonly signatures: Signatures
  readonly sets: VoterSets
  readonly proposals: Proposals
  readonly membership: () => Membership
  readonly voterLog: VoterLog
  readonly nameOf: (peer: PeerId) => string
  readonly clock: Clock
  readonly retryMs: number
  readonly send: (to: readonly PeerId[], message: LeaseMessage) => void
  /** Brings what the voters before left to where their successors find it; in vain if they cannot be reached. */
  readonly gather: (decided: Decided, signal: AbortSignal) => Promise<void>
  readonly closing: AbortSignal
}

/** Replaces the voter set on an admin's word. */
export class VoterChanger {
  readonly #deps: VoterChangeDeps
  readonly #offers = new Set<(peer: PeerId, inc: string) => void>()
  /** What waits for the voters of a set, who answer nobody about it any more once they are in the next epoch. */
  readonly #proposed = new Map<AbortController, VoterSet>()

  constructor(deps: VoterChangeDeps) {
    this.#deps = deps
  }

  receive(message: LeaseMessage): void {
    if (message.t !== 'candidate') return
    const { node, inc, space } = message.m.body
    if (space !== this.#deps.membership().mesh || !this.#deps.signatures.isSignedBy(node, message.m)) return
    for (const take of this.#offers) take(node, inc)
  }

  /** To be called when the membership log may know of a new epoch. */
  catchUp(): void {
    const current = this.#deps.sets.current()?.set.epoch ?? 0
    for (const [replaced, { epoch }] of this.#proposed)
      if (current > epoch) replaced.abort(new Error('others vote now'))
  }

  async change({ members, force }: VoterChange, signal?: AbortSignal): Promise<Result<null>> {
    const { signatures, sets, membership, closing } = this.#deps
    const current = sets.current()
    if (!current) return err(domainError('internal', { message: 'The mesh has no valid voter configuration.' }))
    if (!hasCapability(membership(), signatures.self, 'admin')) return err(notAdmin())
    const wanted = this.#find(members)
    if (!wanted.ok) return wanted
    const stop = AbortSignal.any([closing, ...(signal ? [signal] : [])])
    const voters = await this.#offersOf(wanted.value, current.set, stop)
    // Whoever was not heard until then need not be offline.
    if (stop.aborted) return err(domainError('cancelled'))
    if (!voters.ok) return voters
    if (force) return await this.#force(current.set, voters.value, force.reason)
    if (isSameSet(current.set, voters.value)) return ok(null)
    return await this.#propose(current.set, voters.value, stop)
  }

  /** Writes a decision down, once its successors can find what the voters before left. */
  async publish(decided: Decided): Promise<Result<unknown>> {
    await this.#deps.gather(decided, this.#deps.closing)
    return await this.#deps.voterLog.publishSealed(decided.bytes)
  }

  async #propose(current: VoterSet, voters: Config['voters'], stop: AbortSignal): Promise<Result<null>> {
    const { signatures, proposals, sets, nameOf } = this.#deps
    const config = signatures.sign('config', this.#configOf(current, voters, current.epoch + 1))
    const replaced = new AbortController()
    const [signal, cancel] = this.#within(DECISION_MS, AbortSignal.any([stop, replaced.signal]))
    this.#proposed.set(replaced, current)
    this.catchUp()
    const outcome = await proposals.run(current, pack(config), signal).finally(() => {
      this.#proposed.delete(replaced)
      cancel()
    })
    if (outcome.is === 'decided') {
      const published = await this.publish(outcome.decided)
      if (!published.ok) return published
      const { set } = outcome.decided.epoch
      return equalBytes(set.cid, config.hash) ? ok(null) : err(this.#overtaken(set))
    }
    if (stop.aborted) return err(domainError('cancelled'))
    const { set = current } = sets.current() ?? {}
    if (set.epoch > current.epoch) return equalBytes(set.cid, config.hash) ? ok(null) : err(this.#overtaken(set))
    const missingVoters = outcome.is === 'unanswered' ? outcome.silent.map(nameOf) : []
    const message =
      `Too few of the present voters agreed in time. Missing: ${missingVoters.join(', ')}. ` +
      'If they are gone for good, --force installs the new set without them.'
    return err(domainError('quorum_unreachable', { message, details: { missingVoters } }))
  }

  async #force(current: VoterSet, voters: Config['voters'], reason: string): Promise<Result<null>> {
    const { signatures, voterLog } = this.#deps
    const config = signatures.sign('config', this.#configOf(current, voters, forcedEpochAfter(current.epoch)))
    const published = await voterLog.publishForced(encodeCanonical(pack(config)), reason)
    return published.ok ? ok(null) : published
  }

  #configOf(current: VoterSet, voters: Config['voters'], epoch: number): Config {
    const { space } = current.config.body
    return { v: 1, space, epoch, voters, prev: current.cid, by: this.#deps.signatures.self }
  }

  #overtaken({ incarnations }: VoterSet): DomainError {
    const names = [...incarnations.keys()].map(this.#deps.nameOf).join(', ')
    return domainError('superseded', {
      message: `Somebody else changed the voters at the same time. Now vote: ${names}.`,
    })
  }

  #find(names: readonly string[]): Result<PeerId[]> {
    const all = [...this.#deps.membership().members.keys()]
    const found: PeerId[] = []
    if (names.length === 0) return err(invalidField('members', 'names nobody: a mesh needs at least one voter'))
    if (names.length > VOTERS_MAX) return err(invalidField('members', `names more than ${VOTERS_MAX} machines`))
    for (const name of names) {
      const matches = all.filter((peer) => peer === name || this.#deps.nameOf(peer) === name)
      const [peer] = matches
      if (!peer) return err(invalidField('members', `${name} is no member (\`rookery members\` lists them)`))
      if (matches.length > 1) return err(invalidField('members', `${name} is the name of several; use the peer id`))
      if (found.includes(peer)) return err(invalidField('members', `${name} is named twice`))
      found.push(peer)
    }
    return ok(found)
  }

  /** Every machine says itself under which incarnation it votes; a present voter that is silent keeps the one it has. */
  async #offersOf(peers: readonly PeerId[], current: VoterSet, stop: AbortSignal): Promise<Result<Config['voters']>> {
    const offers = await this.#collect(peers, stop)
    const voters: Config['voters'] = []
    const silent: PeerId[] = []
    for (const node of peers.toSorted()) {
      const inc = offers.get(node) ?? current.incarnations.get(node)
      if (inc === undefined) silent.push(node)
      else voters.push({ node, inc })
    }
    if (silent.length === 0) return ok(voters)
    const names = silent.map(this.#deps.nameOf).join(', ')
    return err(domainError('machine_offline', { message: `A new voter must be reachable: ${names} did not answer.` }))
  }

  #collect(peers: readonly PeerId[], stop: AbortSignal): Promise<ReadonlyMap<PeerId, string>> {
    const { clock, retryMs, send } = this.#deps
    const [signal, cancelDeadline] = this.#within(CANDIDATES_MS, stop)
    return new Promise((resolve) => {
      const offers = new Map<PeerId, string>()
      let cancelRetry = (): void => undefined
      const conclude = (): void => {
        cancelRetry()
        cancelDeadline()
        this.#offers.delete(take)
        resolve(offers)
      }
      const take = (peer: PeerId, inc: string): void => {
        if (peers.includes(peer)) offers.set(peer, inc)
        if (offers.size === peers.length) conclude()
      }
      const ask = (): void => {
        cancelRetry = clock.after(timerMs(retryMs), ask)
        send(
          peers.filter((peer) => !offers.has(peer)),
          { t: 'ask', m: {} },
        )
      }
      this.#offers.add(take)
      signal.addEventListener('abort', conclude, { once: true })
      if (signal.aborted) conclude()
      else ask()
    })
  }

  #within(limitMs: number, stop: AbortSignal): [AbortSignal, () => void] {
    const timeout = new AbortController()
    const cancel = this.#deps.clock.after(limitMs, () => timeout.abort(new Error('time is up')))
    return [AbortSignal.any([timeout.signal, stop]), cancel]
  }
}

const notAdmin = (): DomainError =>
  domainError('forbidden', { message: 'This node may not say who votes: it lacks the capability `admin`.' })

const isSameSet = ({ incarnations }: VoterSet, voters: Config['voters']): boolean =>
  incarnations.size === voters.length && voters.every(({ node, inc }) => incarnations.get(node) === inc)

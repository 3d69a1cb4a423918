import type { PeerId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import type { Decided } from '../../../protocols/lease/proposal.ts'
import type { Signatures } from '../../../protocols/lease/signing.ts'
import type { LeaseTimings } from '../../../protocols/lease/timings.ts'
import { hasCapability, type Membership } from '../../../protocols/membership/membership.ts'
import { every, type Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import { randomFraction, type Random } from '../../ports/random.ts'
import { EstateExchange } from './estate-exchange.ts'
import type { Outbox } from './lease-outbox.ts'
import type { LeaseVoter } from './lease-voter.ts'
import { VoterAdoption } from './voter-adoption.ts'
import { VoterChanger, type VoterLog } from './voter-change.ts'
import { Proposals } from './voter-proposals.ts'
import type { VoterChange } from './voter-service.ts'
import type { VoterSets } from './voter-sets.ts'

export type ReconfigurationDeps = {
  readonly signatures: Signatures
  readonly sha256: Crypto['sha256']
  readonly sets: VoterSets
  readonly voter: LeaseVoter
  readonly voterLog: VoterLog
  readonly membership: () => Membership
  readonly nameOf: (peer: PeerId) => string
  readonly outbox: Outbox
  readonly send: (to: readonly PeerId[], message: LeaseMessage) => void
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly timings: LeaseTimings
  readonly closing: AbortSignal
}

export type Reconfiguration = {
  receive(message: LeaseMessage): void
  change(change: VoterChange, signal?: AbortSignal): Promise<Result<null>>
  /** To be called when the membership log may know of a new epoch. */
  catchUp(): void
  /** What keeps this node's voter between two sets, in a sentence that says what to do; undefined while nothing does. */
  problem(): string | undefined
  close(): Promise<void>
}

/** How long the proposer that decided waits for what the voters before left, before it says what was decided. */
const GATHER_MS = 5000
/** Of a proposal that completes what another has begun. */
const COMPLETION_MS = 20_000
const STALLED =
  'This voter has agreed to other voters, which could not be completed: until then it grants nothing. ' +
  'It needs most of the present voters, or the node of an admin: `rookery voters set` there completes it as well.'

/** Everything about changing the voters: proposing, entering what was decided, and completing what others left undone. */
export function createReconfiguration(deps: ReconfigurationDeps): Reconfiguration {
  const { sets, voter, clock, timings, closing } = deps
  const exchange = new EstateExchange({ ...deps, retryMs: timings.retransmitMs })
  const proposals = new Proposals(deps)
  const adoption = new VoterAdoption({ ...deps, exchange })
  const changer = new VoterChanger({
    ...deps,
    proposals,
    retryMs: timings.retransmitMs,
    gather: async (decided, signal) => await gather(deps, exchange, decided, signal),
  })
  let stalled: VoterSet | undefined
  const stopWatch = watchUndecided(deps, async (set) => {
    if ((sets.current()?.set.epoch ?? 0) > set.epoch) return
    const signal = AbortSignal.any([closing, within(clock, COMPLETION_MS)])
    const outcome = await proposals.run(set, undefined, signal)
    if (outcome.is === 'decided') await changer.publish(outcome.decided)
    stalled = outcome.is === 'unanswered' && voter.sealedEpoch() === set ? set : undefined
    if (stalled) askAdmins(deps, stalled)
  })
  return {
    receive(message) {
      if (message.t === 'page') exchange.receive(message.m)
      else if (message.t === 'candidate') changer.receive(message)
      else proposals.receive(message)
    },
    change: (change, signal) => changer.change(change, signal),
    catchUp() {
      if (!sets.current() || closing.aborted) return
      adoption.catchUp()
      changer.catchUp()
    },
    problem: () => (stalled && voter.sealedEpoch() === stalled ? STALLED : undefined),
    async close() {
      stopWatch()
      await adoption.close()
    },
  }
}

/** Keeps the estates of a decision here, where the successors ask after the voters themselves. */
async function gather(
  { voter, clock }: ReconfigurationDeps,
  exchange: EstateExchange,
  { epoch }: Decided,
  signal: AbortSignal,
): Promise<void> {
  if (epoch.origin.is !== 'sealed') return
  const all = AbortSignal.any([signal, within(clock, GATHER_MS)])
  await Promise.all(
    epoch.origin.seals.map(async (seal) => {
      const fetched = await exchange.fetch(seal, [seal.voter], all)
      if (fetched) voter.keepEstate(fetched.packed)
    }),
  )
}

/** The voters alone may be unable to complete what was accepted: whoever proposed it may be an admin no more. */
function askAdmins({ membership, signatures, send }: ReconfigurationDeps, { epoch }: VoterSet): void {
  const admins = [...membership().members.keys()].filter((peer) => hasCapability(membership(), peer, 'admin'))
  if (!admins.includes(signatures.self)) send(admins, { t: 'stalled', m: { epoch } })
}

/**
 * A voter that sealed its epoch and hears of no successor completes the decision itself: the proposer may be gone, and
 * nothing is granted meanwhile. So does an admin's node that is asked to. Each at its own pace, so that they do not outbid
 * each other.
 */
function watchUndecided(deps: ReconfigurationDeps, complete: (set: VoterSet) => Promise<void>): () => void {
  const { voter, sets, membership, signatures, clock, random, timings, log } = deps
  let told: VoterSet | undefined
  voter.onStalled((by, epoch) => {
    const set = sets.current()?.set
    if (set?.epoch !== epoch || !set.incarnations.has(by)) return
    if (hasCapability(membership(), signatures.self, 'admin')) told = set
  })
  let undecided: { readonly set: VoterSet; readonly sinceMs: number } | undefined
  let isBusy = false
  const patienceMs = timings.completeSealedMs * (1 + randomFraction(random))
  return every(clock, timings.completeSealedMs / 2, () => {
    const set = voter.sealedEpoch() ?? told
    if (set !== undecided?.set) undecided = set && { set, sinceMs: clock.monoMs() }
    if (!undecided || isBusy || clock.monoMs() - undecided.sinceMs < patienceMs) return
    isBusy = true
    told = undefined
    complete(undecided.set)
      .catch((error: unknown) => log.error({ err: error }, 'a change of voters could not be completed'))
      .finally(() => (isBusy = false))
  })
}

function within(clock: Clock, limitMs: number): AbortSignal {
  const timeout = new AbortController()
  clock.after(limitMs, () => timeout.abort(new Error('time is up')))
  return timeout.signal
}

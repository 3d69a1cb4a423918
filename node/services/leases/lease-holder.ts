import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok } from '../../../crdt/result.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { Signatures } from '../../../protocols/lease/signing.ts'
import { DEFAULT_TIMINGS, type LeaseTimings } from '../../../protocols/lease/timings.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import type { Documents } from '../feeds/documents.ts'
import { acquireLease } from './lease-acquire.ts'
import { createFaultWatch } from './fault-watch.ts'
import { Attempts } from './lease-attempts.ts'
import { Claims } from './lease-claims.ts'
import { HeldLeases } from './lease-held.ts'
import { createLeaseLinks } from './lease-links.ts'
import { Outbox } from './lease-outbox.ts'
import { checkedRequest, type LeaseService } from './lease-service.ts'
import type { LeaseVoter } from './lease-voter.ts'
import { createReconfiguration } from './reconfiguration.ts'
import type { VoterLog } from './voter-change.ts'
import type { VoterService } from './voter-service.ts'
import { createVoterSets } from './voter-sets.ts'
import { faultSentence, viewVoters } from './voter-view.ts'

export type LeaseServiceDeps = {
  readonly network: PeerNetwork
  readonly membership: () => Membership
  readonly voterLog: VoterLog
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly timings?: Partial<LeaseTimings>
  /** Counts the starts of this node, durably: sequence numbers of an earlier process must never be used again. */
  readonly boot: number
  readonly reached: Documents['reached']
  /** This node's own voter. */
  readonly voter: LeaseVoter
  /** What people call a member; the peer id where it has no name. */
  readonly nameOf: (peer: PeerId) => string
  readonly isOnline: (peer: PeerId) => boolean
}

export type RunningLeaseService = LeaseService & {
  readonly changes: VoterService
  /** To be called when the membership log has changed: there may be other voters. */
  membershipChanged(): void
  /** Why leases are not what they should be, for `status`. */
  problems(): readonly string[]
  /**
   * Stops renewing without releasing: what this process held ends at the voters by itself, since those who work under it
   * may outlive the process. Whoever waits is answered with `no_quorum`.
   */
  close(): Promise<void>
}

/** The leases of this node, and its part in saying who votes. */
export function createLeaseService(deps: LeaseServiceDeps): RunningLeaseService {
  const { network, crypto, signer, clock, random, log, voter, nameOf } = deps
  const timings: LeaseTimings = { ...DEFAULT_TIMINGS, ...deps.timings }
  const signatures = new Signatures({ crypto, signer })
  const closing = new AbortController()
  const sets = createVoterSets(signatures, deps.membership)
  const links = createLeaseLinks({
    network,
    signatures,
    clock,
    log,
    local: voter,
    openTimeoutMs: timings.requestTimeoutMs,
    onMessage: (from, message) => receive(from, message),
  })
  const outbox = new Outbox(signatures, links.send)
  const watch = createFaultWatch({ ...deps, signatures, sets })
  const voters = (): VoterSet => {
    const current = sets.current()
    if (!current) throw new Error('there is no voter set')
    return current.set
  }
  const claims = new Claims({
    signatures,
    outbox,
    voters,
    isExcluded: sets.isConvicted,
    clock,
    random,
    timings,
    onGrant: watch.note,
  })
  const leases = new HeldLeases({ clock, log })
  const attempts = new Attempts({ ...deps, claims, leases, closing: closing.signal, epoch: () => voters().epoch })
  const shared = { signatures, sets, voter, outbox, send: links.send, timings, closing: closing.signal }
  const reconfiguration = createReconfiguration({ ...deps, ...shared, sha256: crypto.sha256 })
  const receive = (from: PeerId, message: LeaseMessage): void => {
    if (message.t === 'grant' || message.t === 'deny') claims.deliver(message)
    else if (message.t === 'free') attempts.wayIsFree(message.m.lid)
    else if (message.t !== 'prove') reconfiguration.receive(message)
    else {
      const evidence = claims.evidence(from, message.m.inc)
      if (evidence && evidence.body.vseq > message.m.above) links.send([from], { t: 'proof', m: evidence })
    }
  }
  const view = (): ReturnType<VoterService['view']> =>
    viewVoters({ ...deps, sets, self: network.self, ownProblem: voter.problem(), waitsMs: voter.waitsMs() })
  reconfiguration.catchUp()

  return {
    async acquire(request) {
      if (!sets.current() || closing.signal.aborted) return err({ why: 'no_quorum', missing: [] })
      const steps = attempts.for(checkedRequest(request))
      const context = { ...steps, clock, random, timings, quorum: () => voters().quorum, closing: closing.signal }
      try {
        return await acquireLease(context, request.waitMs)
      } finally {
        steps.done()
      }
    },
    async resume(certificate, holdUntilMs) {
      return (
        sets.current() !== undefined && !closing.signal.aborted && (await attempts.resume(certificate, holdUntilMs))
      )
    },
    isValid: (leaseId) => leases.isValid(leaseId),
    find: (leaseId) => leases.find(leaseId),
    release: async (leaseId, after) => leases.release(leaseId, after),
    extend: (leaseId, holdUntilMs) => leases.extend(leaseId, holdUntilMs),
    onEnd: (listener) => leases.onEnd(listener),
    held: () => leases.all(),
    verified: watch.verified,
    voters: () => [...(sets.current()?.set.incarnations.keys() ?? [])],
    changes: {
      view,
      async set(change, signal) {
        const changed = await reconfiguration.change(change, signal)
        return changed.ok ? ok(view()) : changed
      },
    },
    membershipChanged() {
      reconfiguration.catchUp()
      if (sets.current()) claims.wake()
    },
    problems: () => sets.convicted().map((fault) => faultSentence(nameOf(fault.voter))),
    async close() {
      closing.abort(new Error('closing'))
      leases.close()
      claims.close()
      await reconfiguration.close()
      await links.close()
    },
  }
}

import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok } from '../../../crdt/result.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { DEFAULT_TIMINGS, type LeaseTimings } from '../../../protocols/lease/timings.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import type { Documents } from '../feeds/documents.ts'
import { acquireLease } from './lease-acquire.ts'
import { createFaultWatch, type FaultWatch } from './fault-watch.ts'
import { Attempts } from './lease-attempts.ts'
import { Claims } from './lease-claims.ts'
import { HeldLeases } from './lease-held.ts'
import { createLeaseLinks, type LeaseLinks } from './lease-links.ts'
import { Outbox } from './lease-outbox.ts'
import { checkedRequest, type AcquireRequest, type LeaseService } from './lease-service.ts'
import type { LeaseVoter } from './lease-voter.ts'
import { createReconfiguration, type Reconfiguration } from './reconfiguration.ts'
import type { VoterLog } from './voter-change.ts'
import type { VoterService, VotersView } from './voter-service.ts'
import { createVoterSets, type VoterSets } from './voter-sets.ts'
import { viewVoters } from './voter-view.ts'

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
  /**
   * Stops renewing without releasing: what this process held ends at the voters by itself, since those who work under it
   * may outlive the process. Whoever waits is answered with `no_quorum`.
   */
  close(): Promise<void>
}

type Parts = {
  readonly sets: VoterSets
  readonly watch: FaultWatch
  readonly links: LeaseLinks
  readonly claims: Claims
  readonly leases: HeldLeases
  readonly attempts: Attempts
  readonly reconfiguration: Reconfiguration
  readonly timings: LeaseTimings
  readonly closing: AbortController
  readonly voters: () => VoterSet
}

/** The leases of this node, and its part in saying who votes. */
export function createLeaseService(deps: LeaseServiceDeps): RunningLeaseService {
  const parts = assemble(deps)
  const { sets, watch, leases, attempts, claims, reconfiguration, closing, links } = parts
  const { network, voter } = deps
  const view = (): VotersView =>
    viewVoters({
      ...deps,
      sets,
      self: network.self,
      ownProblem: voter.problem() ?? reconfiguration.problem(),
      waitsMs: voter.waitsMs(),
    })
  const isOpen = (): boolean => sets.current() !== undefined && !closing.signal.aborted
  reconfiguration.catchUp()
  return {
    acquire: async (request) =>
      isOpen() ? await acquire(deps, parts, checkedRequest(request)) : err({ why: 'no_quorum', missing: [] }),
    resume: async (certificate, holdUntilMs) => isOpen() && (await attempts.resume(certificate, holdUntilMs)),
    discard: (certificate) => {
      if (isOpen()) attempts.discard(certificate)
    },
    isValid: (leaseId) => leases.isValid(leaseId),
    find: (leaseId) => leases.find(leaseId),
    release: async (leaseId, after) => leases.release(leaseId, after),
    settled: (leaseId, signal) => leases.settled(leaseId, signal),
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
      if (isOpen()) claims.wake()
    },
    async close() {
      closing.abort(new Error('closing'))
      leases.close()
      claims.close()
      await reconfiguration.close()
      await links.close()
    },
  }
}

async function acquire(
  { clock, random }: LeaseServiceDeps,
  { attempts, timings, voters, closing }: Parts,
  request: AcquireRequest,
): ReturnType<LeaseService['acquire']> {
  const steps = attempts.for(request)
  const quorum = (): number => voters().quorum
  try {
    const context = { ...steps, clock, random, timings, quorum, closing: closing.signal }
    return await acquireLease(context, request.waitMs)
  } finally {
    steps.done()
  }
}

function assemble(deps: LeaseServiceDeps): Parts {
  const { network, crypto, clock, random, log, voter } = deps
  const timings: LeaseTimings = { ...DEFAULT_TIMINGS, ...deps.timings }
  const { signatures } = voter
  const closing = new AbortController()
  const sets = createVoterSets(signatures, deps.membership)
  const watch = createFaultWatch({ ...deps, signatures, sets })
  const voters = (): VoterSet => {
    const current = sets.current()
    if (!current) throw new Error('there is no voter set')
    return current.set
  }
  const links: LeaseLinks = createLeaseLinks({
    network,
    signatures,
    clock,
    log,
    local: voter,
    openTimeoutMs: timings.requestTimeoutMs,
    onMessage: (from, message) => receive(parts, from, message),
  })
  const outbox = new Outbox(signatures, links.send)
  const shared = { ...deps, timings, signatures, sets, outbox, voters, closing: closing.signal }
  const claims = new Claims({ ...shared, send: links.send, isExcluded: sets.isConvicted, onGrant: watch.note })
  const leases = new HeldLeases({ clock, log })
  const attempts = new Attempts({ ...deps, claims, leases, closing: closing.signal, epoch: () => voters().epoch })
  const reconfiguration = createReconfiguration({
    ...shared,
    random,
    sha256: (data) => crypto.sha256(data),
    send: links.send,
  })
  const parts = { sets, watch, links, claims, leases, attempts, reconfiguration, timings, closing, voters }
  return parts
}

function receive({ claims, attempts, reconfiguration, links }: Parts, from: PeerId, message: LeaseMessage): void {
  if (message.t === 'grant') return claims.granted(message.m)
  if (message.t === 'deny') return claims.denied(from, message.m)
  if (message.t === 'free') return attempts.wayIsFree(message.m.lid)
  if (message.t !== 'prove') return reconfiguration.receive(message)
  const evidence = claims.evidence(from, message.m.inc)
  if (evidence && evidence.body.vseq > message.m.above) links.send([from], { t: 'proof', m: evidence })
}

import { z } from 'zod'
import type { PeerId } from '../../../crdt/ids.ts'
import { err } from '../../../crdt/result.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import { verifyCertificate } from '../../../protocols/lease/certificate.ts'
import { verifyConfig, voterSetOf, type VoterSet } from '../../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import { HolderInfo } from '../../../protocols/lease/messages.ts'
import { areNormalised, sortResources } from '../../../protocols/lease/resources.ts'
import { DEFAULT_TIMINGS, type LeaseTimings } from '../../../protocols/lease/timings.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import type { Random } from '../../ports/random.ts'
import type { Documents } from '../feeds/documents.ts'
import { acquireLease } from './lease-acquire.ts'
import { Attempts } from './lease-attempts.ts'
import { Claims } from './lease-claims.ts'
import { HeldLeases } from './lease-held.ts'
import { createLeaseLinks } from './lease-links.ts'
import type { AcquireRequest, LeaseService } from './lease-service.ts'
import type { LeaseVoter } from './lease-voter.ts'

export type LeaseServiceDeps = {
  readonly network: PeerNetwork
  readonly membership: () => Membership
  readonly crypto: Crypto
  readonly signer: Signer
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly timings?: Partial<LeaseTimings>
  /** Counts the starts of this node, durably: sequence numbers of an earlier process must never be used again. */
  readonly boot: number
  readonly reached: Documents['reached']
  /** This node's own voter, if the configuration names one. */
  readonly voter?: LeaseVoter
}

/** Room for the boot nonce in front of it. */
const Owner = z.string().min(1).max(200)

/**
 * The holder's side of leases. `close` stops renewing without releasing: what this process held ends at the voters by
 * itself, since those who work under it may outlive the process. It answers whoever waits with `no_quorum`.
 */
export function createLeaseService(deps: LeaseServiceDeps): LeaseService & { close(): Promise<void> } {
  const { network, crypto, signer, clock, random, log } = deps
  const timings: LeaseTimings = { ...DEFAULT_TIMINGS, ...deps.timings }
  const keys = { crypto, signer }
  const closing = new AbortController()
  const voterSet = createVoterSets(crypto, deps.membership)
  const links = createLeaseLinks({
    network,
    clock,
    log,
    local: deps.voter,
    openTimeoutMs: timings.requestTimeoutMs,
    onMessage: (from, message) => receive(from, message),
  })
  const claims = new Claims({ keys, clock, random, timings, send: links.send })
  const leases = new HeldLeases({ clock, log })
  const attempts = new Attempts({ ...deps, claims, leases, closing: closing.signal })
  const receive = (from: PeerId, message: LeaseMessage): void => {
    if (message.t === 'grant' || message.t === 'deny') claims.deliver(message)
    if (message.t === 'free') attempts.wayIsFree(message.m.lid)
    if (message.t !== 'prove') return
    const evidence = claims.evidence(from, message.m.inc)
    if (evidence && evidence.vseq > message.m.above) links.send([from], { t: 'proof', m: evidence })
  }

  return {
    async acquire(request) {
      const voters = voterSet()
      if (!voters || closing.signal.aborted) return err({ why: 'no_quorum', missing: [] })
      const steps = attempts.for(voters, checked(request))
      const context = { ...steps, clock, random, timings, quorum: voters.quorum, closing: closing.signal }
      try {
        return await acquireLease(context, request.waitMs)
      } finally {
        steps.done()
      }
    },
    isValid: (leaseId) => leases.isValid(leaseId),
    find: (leaseId) => leases.find(leaseId),
    release: async (leaseId, after) => leases.release(leaseId, after),
    extend: (leaseId, holdUntilMs) => leases.extend(leaseId, holdUntilMs),
    onEnd: (listener) => leases.onEnd(listener),
    held: () => leases.all(),
    verify(certificate) {
      const voters = voterSet()
      return voters !== undefined && verifyCertificate(crypto, voters, certificate)
    },
    voters: () => [...(voterSet()?.incarnations.keys() ?? [])],
    async close() {
      closing.abort(new Error('closing'))
      leases.close()
      claims.close()
      await links.close()
    },
  }
}

/** The verified voter set of the current membership; checking it again for every use would cost a signature each. */
function createVoterSets(crypto: Crypto, membership: () => Membership): () => VoterSet | undefined {
  let known: { config: Membership['leaseConfig']; set: VoterSet | undefined } | undefined
  return () => {
    const { leaseConfig: config, mesh: space, founder } = membership()
    if (known?.config !== config) {
      const isValid = config && verifyConfig(crypto, config, { space, founder })
      known = { config, set: isValid ? voterSetOf(crypto, config) : undefined }
    }
    return known?.set
  }
}

/** @throws when the caller did not normalise what it asks for: voters would refuse it without a useful word. */
function checked(request: AcquireRequest): AcquireRequest {
  const resources = sortResources(request.resources)
  if (resources.length === 0 || !areNormalised(resources)) throw new TypeError('resources must be normalised')
  return { ...request, resources, owner: Owner.parse(request.owner), info: HolderInfo.parse(request.info) }
}

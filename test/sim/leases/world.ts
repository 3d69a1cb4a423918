import type { PeerId } from '../../../crdt/ids.ts'
import type { HeldLease } from '../../../node/services/leases/lease-service.ts'
import { createVoterSets, type VoterSets } from '../../../node/services/leases/voter-sets.ts'
import { encodeCanonical } from '../../../protocols/codec.ts'
import { packCertificate } from '../../../protocols/lease/certificate.ts'
import type { VoterSet } from '../../../protocols/lease/config.ts'
import type { Voter } from '../../../protocols/lease/messages.ts'
import { pack, Signatures } from '../../../protocols/lease/signing.ts'
import { drawRate } from '../faults.ts'
import { Prng } from '../ports/prng.ts'
import { createSimCrypto, simPeer } from '../ports/sim-crypto.ts'
import { SimWorld } from '../sim-world.ts'
import { Arrivals } from './arrivals.ts'
import { resumeAgents, runAgent } from './agent.ts'
import { Ballots } from './checkers/ballots.ts'
import { Beliefs } from './checkers/beliefs.ts'
import { faultsOf } from './checkers/certificates.ts'
import { History } from './checkers/history.ts'
import { emptyCounts, type Counts } from './counts.ts'
import { endWorld } from './end-phase.ts'
import { FAULTS } from './faults.ts'
import { FencedStore } from './fenced-store.ts'
import { MeshLog } from './mesh-log.ts'
import { SimHost, type Process } from './sim-host.ts'
import { foundingMembership, SPACE } from './sim-membership.ts'
import type { FaultKind, Plan } from './swarm.ts'
import { answersIn } from './wire.ts'

/** Long enough for every first start. */
const FOUNDING_MS = 30_000
/** One certificate of so many is shown to another node: checking signatures is most of what it costs. */
const ASKED_EVERY = 4
/** Until a certificate has arrived with everybody. */
const SHOWN_MS = 1000

/** Nodes with production code inside, on simulated machines; everything follows from the plan's seed. */
export class World extends SimWorld<Plan> {
  readonly counts: Counts = emptyCounts()
  readonly asleepMsMax = 60_000
  readonly cutMsMax = 30_000
  readonly crypto = createSimCrypto()
  readonly store = new FencedStore(this.violations)
  readonly history = new History()
  readonly ballots: Ballots
  readonly arrivals: Arrivals
  readonly hosts: readonly SimHost[]
  readonly removed = new Set<SimHost>()
  #log: MeshLog | undefined
  readonly #sets: VoterSets
  readonly #beliefs: Beliefs
  readonly #processes: Process[] = []
  readonly #seen = new Map<Process, number>()

  constructor(plan: Plan) {
    super(plan, new Prng(plan.seed))
    this.arrivals = new Arrivals(this.time, this.prng.fork('arrivals'), plan.agents.arrivalMs)
    this.hosts = Array.from({ length: plan.nodes }, (_, n) => new SimHost(this, simPeer(n), n))
    const observer = new Signatures({ crypto: this.crypto, signer: this.crypto.signer(simPeer(0)) })
    this.#sets = createVoterSets(observer, () => this.log.all)
    this.ballots = new Ballots(this.violations, (cid) => this.#sets.find(cid)?.set)
    this.#beliefs = new Beliefs(this.violations, {
      certified: (lease) => this.#certified(lease),
      resumed: () => (this.counts.restored += 1),
    })
    this.time.afterEvent = () => this.#observe()
    this.network.observe = (from, frame) => {
      const host = this.hostOf(from)
      for (const answer of answersIn(frame)) host?.answered(answer)
    }
  }

  get machines(): readonly SimHost[] {
    return this.hosts
  }

  get log(): MeshLog {
    if (!this.#log) throw new Error('the mesh does not exist yet')
    return this.#log
  }

  /** The newest voter set that was ever written down. */
  get set(): VoterSet {
    const epoch = this.#sets.current()
    if (!epoch) throw new Error('the mesh has no voter set')
    return epoch.set
  }

  isVoter(host: SimHost): boolean {
    return this.set.incarnations.has(host.peer)
  }

  /** Whether the host still has the voter identity that the newest set names. */
  isVoterIntact(host: SimHost): boolean {
    const inc = this.set.incarnations.get(host.peer)
    return inc !== undefined && host.promises.durableInc === inc
  }

  /** Whether enough voters of the newest set are there, are who they were, and were not convicted of anything. */
  get hasQuorum(): boolean {
    const able = this.hosts.filter((host) => this.isVoterIntact(host) && !this.removed.has(host))
    const trusted = able.filter(({ peer, promises }) => !this.#sets.isConvicted(peer, promises.durableInc))
    return trusted.length >= this.set.quorum
  }

  /** The one whose disk is not to be trusted, in such a world. */
  get faultyHost(): SimHost | undefined {
    return this.hosts.find(({ isFaulty }) => isFaulty)
  }

  /** Makes the voter identities and the configuration, then starts every node. */
  async found(): Promise<void> {
    const voters: Voter[] = []
    for (const host of this.hosts.slice(0, this.plan.voters)) {
      void host.prepare().then((inc) => voters.push({ node: host.peer, inc }))
    }
    await this.time.run(FOUNDING_MS)
    const [founder] = this.hosts
    if (!founder || voters.length !== this.plan.voters) throw new Error('the mesh could not be founded')
    const signatures = new Signatures({ crypto: this.crypto, signer: this.crypto.signer(founder.peer) })
    const config = { v: 1 as const, space: SPACE, epoch: 1, voters, prev: null, by: founder.peer }
    const membership = foundingMembership({
      peers: this.hosts.map(({ peer }) => peer),
      admins: this.plan.admins,
      leaseConfig: encodeCanonical(pack(signatures.sign('config', config))),
    })
    const { time, network, counts } = this
    this.#log = new MeshLog({ time, network, counts, prng: this.prng.fork('log') }, this.hosts, membership)
    for (const host of this.hosts) {
      if (this.plan.drift) host.clock.setRate(drawRate(this.prng))
      host.join(membership)
    }
  }

  inject(kind: FaultKind, prng: Prng): void {
    FAULTS[kind](this, prng)
  }

  async end(): Promise<void> {
    await endWorld(this)
    this.history.check(this.violations)
  }

  /** Signals that were never aborted would be kept by the runtime for ever. */
  override async close(): Promise<void> {
    this.#count()
    for (const host of this.hosts) host.crash(false)
    for (const { leases } of this.#processes) void leases.close()
    this.#processes.length = 0
    await new Promise(setImmediate)
  }

  started(host: SimHost, process: Process): void {
    this.#processes.push(process)
    this.#seen.set(process, -1)
    this.trace?.(`${host.name} is up`)
    process.leases.onEnd((_lease, why) => {
      if (why === 'expired') this.counts.expired += 1
    })
    if (this.isEnding) return
    const prng = this.prng.fork(`agents of ${host.name} at ${this.time.nowMs}`)
    resumeAgents(this, process, prng)
    for (let n = 0; n < this.plan.agents.perNode; n++) void runAgent(this, process, prng.fork(n))
  }

  ended(process: Process): void {
    this.#seen.delete(process)
    this.#beliefs.forget(process)
  }

  nameOf(peer: PeerId): string {
    return this.hostOf(peer)?.name ?? peer
  }

  hostOf(peer: PeerId): SimHost | undefined {
    return this.hosts.find((host) => host.peer === peer)
  }

  /** I4, by counting here and by asking another node. */
  #certified({ certificate, leaseId }: HeldLease): void {
    this.counts.certificates += 1
    this.trace?.(`certified ${leaseId.slice(0, 6)}`)
    const { cid, node } = certificate.req.body
    const epoch = this.#sets.find(cid)
    const wrong = epoch ? faultsOf(certificate, epoch.set.config.body) : ['nobody ever heard of its voters']
    const others = this.hosts.flatMap(({ process }) => process ?? []).filter(({ peer }) => peer !== node)
    const isAsked = this.counts.certificates % ASKED_EVERY === 0 || this.plan.kind === 'rollback'
    const verifier = isAsked && others.find(({ host }) => host.knowsEpoch(certificate.req.body.epoch))
    const bytes = isAsked ? encodeCanonical(packCertificate(certificate)) : undefined
    if (verifier && bytes && !verifier.leases.verified(bytes)) wrong.push('another node does not accept it')
    if (bytes && this.plan.kind === 'rollback') this.#show(bytes)
    for (const what of wrong) this.violations.add('I4', `certificate of ${leaseId.slice(0, 6)}: ${what}`)
  }

  /** Certificates travel with what was done under them: every node gets to see them, and what contradicts them. */
  #show(certificate: Uint8Array): void {
    for (const { process } of this.hosts) {
      if (process) this.time.after(SHOWN_MS, () => process.life.isAlive && process.leases.verified(certificate))
    }
  }

  #count(): void {
    const { counts, store, hosts, ballots } = this
    counts.epochsDecided = ballots.decisions
    counts.protectedWrites = store.writes
    counts.staleWritesRejected = store.rejected
    for (const { promises } of hosts) {
      counts.renewals += promises.count.renewals
      counts.compactions += promises.count.compactions
      counts.importConflicts += promises.count.importConflicts
      counts.waitsEnded += promises.count.waitsEnded
    }
  }

  #observe(): void {
    for (const [process, seen] of this.#seen) {
      const { activity } = process.life
      if (activity === seen) continue
      this.#seen.set(process, activity)
      this.#beliefs.observe(process)
    }
  }
}

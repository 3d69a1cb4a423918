import type { PeerId } from '../../crdt/ids.ts'
import { signAs } from '../../protocols/lease/signing.ts'
import type { Config, Voter } from '../../protocols/lease/messages.ts'
import { Arrivals } from './arrivals.ts'
import { runAgent } from './agent.ts'
import { Beliefs } from './checkers/beliefs.ts'
import { checkCertificate, reportCertificate } from './checkers/certificates.ts'
import { History } from './checkers/history.ts'
import { emptyCounts, type Counts } from './counts.ts'
import { drawRate } from './faults.ts'
import { FencedStore } from './fenced-store.ts'
import { Prng } from './ports/prng.ts'
import { createSimCrypto, simPeer } from './ports/sim-crypto.ts'
import { SimNetwork } from './ports/sim-network.ts'
import { VirtualTime } from './ports/virtual-time.ts'
import { SimHost, type Process } from './sim-host.ts'
import { foundingMembership, SPACE } from './sim-membership.ts'
import type { Plan } from './swarm.ts'
import { Violations } from './violations.ts'
import { answersIn } from './wire.ts'

/** Long enough for every first start. */
const FOUNDING_MS = 30_000

/** Nodes with production code inside, on simulated machines; everything follows from the plan's seed. */
export class World {
  readonly plan: Plan
  readonly prng: Prng
  readonly time = new VirtualTime()
  readonly counts: Counts = emptyCounts()
  readonly violations = new Violations()
  readonly crypto = createSimCrypto()
  readonly network: SimNetwork
  readonly store = new FencedStore(this.violations)
  readonly history = new History()
  readonly arrivals: Arrivals
  readonly hosts: readonly SimHost[]
  readonly removed = new Set<SimHost>()
  readonly lostDisks = new Set<SimHost>()
  /** Told of what happens, in verbose runs. */
  trace: ((what: string) => void) | undefined
  /** From now on nothing new is begun. */
  isEnding = false
  #config: Config | undefined
  readonly #beliefs: Beliefs
  readonly #seen = new Map<Process, number>()
  readonly #cuts = new Set<() => void>()

  constructor(plan: Plan) {
    this.plan = plan
    this.prng = new Prng(plan.seed)
    this.network = new SimNetwork(this.time, this.prng.fork('network'), plan.network)
    this.arrivals = new Arrivals(this.time, this.prng.fork('arrivals'), plan.agents.arrivalMs)
    this.hosts = Array.from({ length: plan.nodes }, (_, n) => new SimHost(this, simPeer(n), n))
    this.#beliefs = new Beliefs(this.violations, ({ certificate, leaseId }) => {
      this.counts.certificates += 1
      this.trace?.(`certified ${leaseId.slice(0, 6)}`)
      const others = this.hosts.flatMap(({ process }) => process ?? [])
      const verifier = others.find(({ peer }) => peer !== certificate.req.node)
      reportCertificate(this.violations, leaseId, checkCertificate(certificate, this.config, verifier?.leases))
    })
    this.time.afterEvent = () => this.#observe()
    this.network.observe = (from, frame) => {
      for (const message of answersIn(frame)) this.#hostOf(from)?.answered(message)
    }
  }

  get config(): Config {
    if (!this.#config) throw new Error('the mesh does not exist yet')
    return this.#config
  }

  isVoter(host: SimHost): boolean {
    return this.config.voters.some(({ node }) => node === host.peer)
  }

  /** Whether the host still has the voter identity that the configuration names. */
  isVoterIntact(host: SimHost): boolean {
    return this.isVoter(host) && !this.lostDisks.has(host)
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
    const keys = { crypto: this.crypto, signer: this.crypto.signer(founder.peer) }
    this.#config = signAs(keys, 'config', {
      v: 1 as const,
      space: SPACE,
      epoch: 1,
      voters,
      prev: null,
      by: founder.peer,
    })
    const membership = foundingMembership(
      this.hosts.map(({ peer }) => peer),
      this.#config,
    )
    for (const host of this.hosts) {
      if (this.plan.drift) host.clock.setRate(drawRate(this.prng))
      host.membership = membership
      void host.start()
    }
  }

  started(host: SimHost, process: Process): void {
    this.#seen.set(process, -1)
    this.trace?.(`${host.name} is up`)
    process.leases.onEnd((_lease, why) => {
      if (why === 'expired') this.counts.expired += 1
    })
    if (this.isEnding) return
    for (let n = 0; n < this.plan.agents.perNode; n++) {
      void runAgent(this, process, this.prng.fork(`agent ${n} of ${host.name} at ${this.time.nowMs}`))
    }
  }

  ended(process: Process): void {
    this.#seen.delete(process)
    this.#beliefs.forget(process)
  }

  /** Cuts links until undone; `healAll` undoes all. */
  cut(links: readonly (readonly [PeerId, PeerId])[]): () => void {
    for (const [from, to] of links) this.network.cut(from, to)
    const undo = (): void => {
      if (!this.#cuts.delete(undo)) return
      for (const [from, to] of links) this.network.heal(from, to)
    }
    this.#cuts.add(undo)
    return undo
  }

  healAll(): void {
    for (const undo of this.#cuts) undo()
  }

  nameOf(peer: PeerId): string {
    return this.#hostOf(peer)?.name ?? peer
  }

  #hostOf(peer: PeerId): SimHost | undefined {
    return this.hosts.find((host) => host.peer === peer)
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

import type { Capability } from '../../../crdt/capability.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { Prng } from '../ports/prng.ts'
import { simPeer } from '../ports/sim-crypto.ts'
import { drawRate } from '../faults.ts'
import { SimWorld } from '../sim-world.ts'
import { emptyCounts, type Counts } from './counts.ts'
import { Edits } from './edits.ts'
import { SYNC_PROTOCOL } from '../../../protocols/sync.ts'
import type { DialledNetwork } from './dialled-network.ts'
import { endWorld } from './end-phase.ts'
import { FAULTS } from './faults.ts'
import { Hostile } from './hostile.ts'
import { createSimKeys } from './keys.ts'
import { Ledger } from './ledger.ts'
import type { FaultPauses, Plan } from './plan.ts'
import { ALL, SimNode, type Process } from './sim-node.ts'
import { SOUND_STORE, type StoreFaults } from './store.ts'
import { runWriter } from './writer.ts'

const FOUNDING_MS = 2000
const SETTLE_STEP_MS = 20
const SETTLE_STEPS_MAX = 10_000
/** A removal that a member hears of later than that has had time to be ignored. */
const LATE_MS = 3000
const DOWN_MS = { min: 50, max: 12_000 }
/** People use a ticket that did not answer again, before they ask for another. */
const TRIES_PER_TICKET = 4
const INVITE_AGAIN_MS = { min: 500, max: 4000 }
const MEMBER: readonly Capability[] = ['gateway', 'control', 'run', 'store']

/** A mesh with production code inside, on simulated machines; everything follows from the plan's seed. */
export class World extends SimWorld<Plan> {
  readonly counts: Counts = emptyCounts()
  readonly asleepMsMax = 40_000
  readonly cutMsMax = 20_000
  readonly crypto = createSimKeys()
  readonly ledger: Ledger
  readonly edits = new Edits(this.counts)
  readonly nodes: SimNode[] = []
  readonly hostile: Hostile[] = []
  /** All tasks that were made, with a place in the writer's feed at which they are in it. */
  readonly tasks: { readonly id: string; readonly writer: SimNode; readonly seq: number }[] = []
  /** Whom an admin has really removed, or tried to. */
  readonly removals = new Set<PeerId>()
  storeFaults: StoreFaults = SOUND_STORE
  /** Where connections are dialled: who there is to dial. */
  readonly ends = new Map<PeerId, DialledNetwork>()
  readonly #names = new Map<PeerId, string>()
  readonly #removedAtMs = new Map<PeerId, number>()
  readonly #restarts: Prng

  constructor(plan: Plan) {
    super(plan, new Prng(plan.seed).fork('replication'))
    this.#restarts = this.prng.fork('restarts')
    // Joining is a dialogue on one channel, and makes no sense without its order.
    this.network.isStream = (protocol) => protocol !== SYNC_PROTOCOL || plan.streams
    this.ledger = new Ledger(this.violations, this.counts, (peer) => this.isHonest(peer))
  }

  get machines(): readonly SimNode[] {
    return this.nodes
  }

  override get peers(): readonly PeerId[] {
    return [...this.nodes, ...this.hostile].map(({ peer }) => peer)
  }

  override get hash(): string {
    return `${super.hash}/${this.ledger.hash}`
  }

  isHonest(peer: PeerId): boolean {
    return !this.hostile.some((member) => member.peer === peer)
  }

  nameOf(peer: PeerId): string {
    return this.#names.get(peer) ?? peer
  }

  /** The founder makes the mesh; everybody else begins to join it. */
  async found(): Promise<void> {
    const { plan, time } = this
    const founder = this.addNode()
    await this.settled(founder.found())
    void founder.start()
    await time.run(time.nowMs + FOUNDING_MS)
    this.storeFaults = plan.store
    for (let n = 1; n < plan.nodes; n++) this.admit(this.addNode())
    for (const temper of plan.hostile) this.#addHostile(temper)
  }

  inject(kind: keyof FaultPauses, prng: Prng): void {
    FAULTS[kind](this, prng)
  }

  async end(): Promise<void> {
    await endWorld(this)
  }

  addNode(): SimNode {
    const n = this.#names.size
    const node = new SimNode(this, simPeer(n), n)
    this.#names.set(node.peer, node.name)
    this.nodes.push(node)
    if (this.plan.drift) node.clock.setRate(drawRate(this.prng.fork(`rate ${n}`)))
    return node
  }

  /** Invites the node until it has joined, then starts it. */
  admit(node: SimNode): void {
    const prng = this.prng.fork(`admission of ${node.name}`)
    const capabilities = prng.chance(this.plan.adminRate) ? ALL : MEMBER
    let ticket: string | undefined
    let triesLeft = 0
    const tryOnce = async (): Promise<void> => {
      if (this.isEnding || node.isLost) return
      if (triesLeft-- <= 0) {
        triesLeft = TRIES_PER_TICKET
        ticket = await this.invite(prng, capabilities)
      }
      const outcome = ticket === undefined ? 'of no use' : await node.join(ticket)
      if (outcome === 'joined') {
        this.counts.joins += 1
        this.trace?.(`${node.name} has joined`)
        return await node.start()
      }
      if (outcome === 'never') return // its admission came too late to it
      if (outcome === 'of no use') triesLeft = 0
      if (ticket !== undefined) this.counts.joinsRepeated += 1
      this.time.after(prng.between(INVITE_AGAIN_MS.min, INVITE_AGAIN_MS.max), () => void tryOnce())
    }
    void tryOnce()
  }

  /** A ticket made by somebody who may, if there is one now. */
  async invite(prng: Prng, capabilities: readonly Capability[]): Promise<string | undefined> {
    const able = this.nodes.filter(({ process, peer }) => {
      const held = process?.membership.current().members.get(peer)?.capabilities
      return held?.has('admit') === true && capabilities.every((capability) => held.has(capability))
    })
    if (able.length === 0) return undefined
    const invited = await prng.pick(able).process?.mesh.invite({ capabilities })
    return invited?.ok ? invited.value.ticket : undefined
  }

  started(process: Process): void {
    this.trace?.(`${process.node.name} is up`)
    process.membership.onChange((current, previous) => {
      for (const peer of current.removed.keys()) if (!previous.removed.has(peer)) this.#sawRemoval(process.node, peer)
    })
    if (this.isEnding) return
    for (let n = 0; n < this.plan.writers.perNode; n++)
      void runWriter(this, process, this.prng.fork(`writer ${n} of ${process.node.name} at ${this.time.nowMs}`))
  }

  #sawRemoval(node: SimNode, peer: PeerId): void {
    this.trace?.(`${node.name} learns that ${this.nameOf(peer)} is removed`)
    const firstMs = this.#removedAtMs.get(peer) ?? this.time.nowMs
    this.#removedAtMs.set(peer, firstMs)
    if (this.time.nowMs - firstMs > LATE_MS) this.counts.removalsSeenLate += 1
  }

  restartLater(node: SimNode): void {
    this.time.after(this.#restarts.between(DOWN_MS.min, DOWN_MS.max), () => {
      if (node.isUp || node.isLost) return
      this.counts.restarts += 1
      void node.start()
    })
  }

  #addHostile(temper: Plan['hostile'][number]): void {
    const n = this.#names.size
    const member = new Hostile(this, simPeer(n), { n, temper })
    this.#names.set(member.peer, `hostile ${n}`)
    this.hostile.push(member)
    void member.run()
  }

  /** Lets time pass until it is done. @throws what it throws */
  async settled<T>(work: Promise<T>): Promise<T> {
    let outcome: { value: T } | { error: unknown } | undefined
    work.then(
      (value) => (outcome = { value }),
      (error: unknown) => (outcome = { error }),
    )
    for (let steps = 0; !outcome; steps++) {
      if (steps > SETTLE_STEPS_MAX) throw new Error('something never settles')
      await this.time.run(this.time.nowMs + SETTLE_STEP_MS)
    }
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }
}

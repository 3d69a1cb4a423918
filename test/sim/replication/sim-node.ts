import type { Capability } from '../../../crdt/capability.ts'
import type { DocId, PeerId } from '../../../crdt/ids.ts'
import type { Clock } from '../../../node/ports/clock.ts'
import { joinMesh } from '../../../node/services/membership/join-client.ts'
import { adoptMesh, createMesh } from '../../../node/services/membership/membership-service.ts'
import type { ReceiveOutcome } from '../../../node/services/feeds/feed-exchange.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import { parseTicket } from '../../../protocols/ticket.ts'
import { Life } from '../ports/life.ts'
import { SimDisk } from '../ports/sim-disk.ts'
import { SimMachine } from '../sim-machine.ts'
import { countOfReason, type CountName } from './counts.ts'
import { DialledNetwork } from './dialled-network.ts'
import { joinAsMember, type MemberNetwork } from './member-network.ts'
import { openServices, type NodeServices } from './services.ts'
import { simLog } from './sim-log.ts'
import { emptyStore, openSimStore, type StoreState } from './store.ts'
import type { World } from './world.ts'

/** A running process of a node. */
export type Process = NodeServices & { readonly life: Life; readonly clock: Clock; readonly node: SimNode }

const JOIN_MS = 30_000

/** One honest machine; its key, too, outlives its processes. */
export class SimNode extends SimMachine {
  readonly disk: SimDisk<StoreState>
  process: Process | undefined
  isMember = false
  /** Its disk is gone, and its key with it: it never comes back. */
  isLost = false
  /** The founder's address is in every ticket. */
  readonly #book: Set<PeerId>
  #starts = 0
  #issued = 0
  #applied = 0
  readonly #world: World

  constructor(world: World, peer: PeerId, n: number) {
    super(world, { peer, name: `node ${n}`, prng: world.prng.fork(`node ${n}`) })
    this.#world = world
    this.#book = new Set(world.nodes.slice(0, 1).map((founder) => founder.peer))
    this.disk = new SimDisk<StoreState>(emptyStore, world.plan.disk, this.prng.fork('disk'))
  }

  nameOf(peer: PeerId): string {
    return this.#world.nameOf(peer)
  }

  /** Whether these bytes are on the disk at that place. */
  holds(doc: DocId, author: PeerId, seq: number, bytes: Uint8Array): boolean {
    const stored = this.disk.state.feeds.get(doc)?.get(author)?.[seq - 1]
    return stored !== undefined && equalBytes(stored.bytes, bytes)
  }

  /** How far an author's feed goes here. */
  headOf(doc: DocId, author: PeerId): number {
    return this.disk.state.feeds.get(doc)?.get(author)?.length ?? 0
  }

  async found(): Promise<void> {
    const means = this.#means(new Life())
    await createMesh(means, { name: this.name, boxKey: BOX_KEY, voterInc: '0'.repeat(32) })
    this.isMember = true
  }

  /** One try with a ticket: whether it has made us a member as far as we know, or what else to do with it. */
  async join(ticketText: string): Promise<'joined' | 'try again' | 'of no use' | 'never'> {
    const world = this.#world
    const life = new Life()
    this.life = life
    const means = this.#means(life)
    const { crypto, signer, clock, log } = means
    const ticket = parseTicket(crypto, ticketText, clock.wallMs())
    if (!ticket.ok) throw new Error(`a fresh ticket is ${ticket.error.code}`)
    const network = world.network.join(this.peer, life, () => false)
    const stop = new AbortController()
    clock.after(JOIN_MS, () => stop.abort(new Error('too late')))
    const self = { name: this.name, boxKey: BOX_KEY }
    const deps = { network, crypto, signer, clock, log, keyFromSeed: crypto.keyFromSeed, self }
    const joined = await joinMesh(deps, ticket.value, stop.signal)
    const adopted = joined.ok ? await adoptMesh(means, joined.value.records, joined.value.mesh) : joined
    this.crash(false)
    if (adopted.ok) {
      this.isMember = true
      return 'joined'
    }
    const { code } = adopted.error
    world.trace?.(`${this.name} could not join: ${code}`)
    if (code === 'forbidden') return 'never'
    return code.startsWith('ticket') ? 'of no use' : 'try again'
  }

  async start(): Promise<void> {
    if (this.life || !this.isMember || this.isLost) return
    const world = this.#world
    const life = new Life()
    this.life = life
    this.#starts += 1
    try {
      const means = this.#means(life)
      world.ledger.started(this)
      const services = await openServices(means, {
        received: (outcome, from) => this.#received(outcome, from),
        opened: (documents) => void documents.onAppend((appended) => world.ledger.leaving(this, appended)),
      })
      this.process = { ...services, life, clock: means.clock, node: this }
      world.started(this.process)
    } catch (error) {
      if (!isDiskTrouble(error)) throw error
      this.crash(false)
      world.restartLater(this)
    }
  }

  /** What was under way to a machine that sleeps still comes to its end: whoever sent it hears of that. */
  override crash(reboot: boolean): void {
    if (!this.life) return
    this.life.isAlive = false
    this.clock.dropTimers()
    this.resume()
    super.crash(reboot)
  }

  protected ended(): void {
    this.process = undefined
    if (this.#issued > this.#applied) this.#world.counts.crashesWithUnsynced += 1
    this.#issued = this.#applied
  }

  /** Ends as a person would end it: everything is durable, and the others hear a goodbye. */
  async stop(): Promise<void> {
    const { process } = this
    if (!process) return
    this.process = undefined
    await process.stop()
    this.crash(false)
  }

  lose(): void {
    this.crash(true)
    this.disk.wipe()
    this.isLost = true
  }

  #means(life: Life) {
    const world = this.#world
    const { crypto } = world
    const port = this.clock.port(life)
    // Whole milliseconds, as real wall clocks tell them.
    const clock: Clock = { ...port, wallMs: () => Math.floor(port.wallMs()) }
    const prng = this.prng.fork(`process ${this.#starts}`)
    const observer = {
      durable: (envelopes: Parameters<typeof world.ledger.durable>[1]) => world.ledger.durable(this, envelopes),
      snapshot: (what: 'saved' | 'loaded') =>
        (world.counts[what === 'saved' ? 'snapshotsSaved' : 'snapshotsLoaded'] += 1),
      refused: () => (world.counts.diskRefusals += 1),
      issued: () => (this.#issued += 1),
      applied: () => (this.#applied += 1),
    }
    const faults = () => world.storeFaults
    const store = openSimStore(this.disk, { life, clock, prng: prng.fork('store'), faults }, observer)
    return {
      crypto,
      signer: crypto.signer(this.peer),
      clock,
      random: prng.fork('random'),
      log: simLog(world, this),
      store,
      join: (membership: () => Membership): MemberNetwork => {
        const network = joinAsMember(world.network, { peer: this.peer, life }, membership)
        if (!world.plan.dialled) return network
        const random = prng.fork('dialler')
        return new DialledNetwork(
          network,
          { ends: world.ends, network: world.network, clock, random, book: this.#book },
          membership,
        )
      },
    }
  }

  #received({ applied, waiting, refused }: ReceiveOutcome, from: PeerId): void {
    const { counts, violations, plan } = this.#world
    counts.envelopesApplied += applied
    counts.envelopesWaited += waiting
    for (const { reason, author } of refused) {
      const name = countOfReason(reason)
      if (name === undefined) violations.add('reason', `${this.name} refuses for an unknown reason: ${reason}`)
      else counts[name] += 1
      if (name === 'refusedDisk' && plan.store.refuseRate > 0) continue
      if (author === undefined ? this.#world.isHonest(from) : !this.#mayRefuse(author, name)) {
        const whose = author === undefined ? 'nobody' : this.nameOf(author)
        violations.add('M16', `${this.name} refuses an envelope of ${whose} from ${this.nameOf(from)}: ${reason}`)
      }
    }
  }

  #mayRefuse(author: PeerId, reason: ReturnType<typeof countOfReason>): boolean {
    if (!this.#world.isHonest(author)) return true
    // Records may be on their way.
    if (reason === 'refusedNotMember') return true
    // A hostile member can put an honest name on anything.
    if (reason !== undefined && FORGERY.has(reason)) return this.#world.plan.hostile.length > 0
    return reason !== undefined && VOID.has(reason)
  }
}

export const ALL: readonly Capability[] = ['admin', 'admit', 'gateway', 'control', 'run', 'store']

/** Said before anybody has looked at the signature. */
const FORGERY: ReadonlySet<CountName> = new Set(['refusedSignature', 'refusedForeignMesh', 'refusedForeignDocument'])

/** What is void may be refused, whoever wrote it. */
const VOID: ReadonlySet<CountName> = new Set(['refusedBeyondCut', 'refusedBranch', 'refusedVoidAdmission'])

const BOX_KEY = new Uint8Array(32).fill(1)

const isDiskTrouble = (error: unknown): boolean =>
  error instanceof Error && (error.message.includes('the simulated disk refuses') || isDiskTrouble(error.cause))

import type { PeerId } from '../../crdt/ids.ts'
import type { Clock } from '../../node/ports/clock.ts'
import type { LeaseJournal } from '../../node/ports/lease-journal.ts'
import type { Log } from '../../node/ports/log.ts'
import { createLeaseService } from '../../node/services/leases/lease-holder.ts'
import type { LeaseService } from '../../node/services/leases/lease-service.ts'
import { createVoterIncarnation, openLeaseVoter, prepareVoterJournal } from '../../node/services/leases/lease-voter.ts'
import type { LeaseVoter } from '../../node/services/leases/lease-voter.ts'
import { voterSetOf } from '../../protocols/lease/config.ts'
import type { LeaseMessage } from '../../protocols/lease/frame.ts'
import { Voter } from '../../protocols/lease/voter.ts'
import type { Membership } from '../../protocols/membership/membership.ts'
import { SignedAnswers } from './checkers/answers.ts'
import { VoterPromises } from './checkers/promises.ts'
import { Life } from './ports/life.ts'
import type { Prng } from './ports/prng.ts'
import { SimClock } from './ports/sim-clock.ts'
import { SimDisk } from './ports/sim-disk.ts'
import { openSimJournal } from './ports/sim-journal.ts'
import type { World } from './world.ts'

/** A running process of a host. */
export type Process = {
  readonly life: Life
  readonly clock: Clock
  readonly peer: PeerId
  readonly leases: LeaseService & { close(): Promise<void> }
}

const REBOOT_MS_MAX = 60_000
/** A restart sometimes finds its journal compacted: in a short run it never grows enough by itself. */
const COMPACT_RATE = 0.2
/** After the loss of a disk somebody may give the node a new voter identity. */
const NEW_IDENTITY_RATE = 0.5

/** One machine: clocks and a disk that outlive its processes. */
export class SimHost {
  readonly peer: PeerId
  readonly name: string
  readonly clock: SimClock
  readonly disk: SimDisk<Uint8Array[]>
  readonly promises: VoterPromises
  readonly answers: SignedAnswers
  membership: Membership | undefined
  process: Process | undefined
  #life: Life | undefined
  #boot = 0
  readonly #world: World
  readonly #prng: Prng

  constructor(world: World, peer: PeerId, n: number) {
    this.#world = world
    this.#prng = world.prng.fork(`host ${n}`)
    this.peer = peer
    this.name = `node ${n}`
    this.clock = new SimClock(world.time, {
      bootMs: this.#prng.between(0, REBOOT_MS_MAX),
      wallMs: WALL_START_MS + this.#prng.between(-1e6, 1e6),
    })
    this.disk = new SimDisk<Uint8Array[]>(() => [], world.plan.disk, this.#prng.fork('disk'))
    this.promises = new VoterPromises(this.name, () => this.clock.monoMs(), world.violations)
    this.answers = new SignedAnswers(this.name, this.promises, world.violations)
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  /** Makes a voter identity on the empty disk. */
  async prepare(): Promise<string> {
    const life = new Life()
    const journal = this.#journal(life, this.clock.port(life))
    return await prepareVoterJournal(journal, this.#prng)
  }

  async start(): Promise<void> {
    if (this.#life || !this.membership) return
    const life = new Life()
    this.#life = life
    const world = this.#world
    const { peer } = this
    const clock = this.clock.port(life)
    const network = world.network.join(peer, life, (from) => this.membership?.members.has(from) ?? false)
    const deps = {
      network,
      membership: () => this.#knownMembership(),
      crypto: world.crypto,
      signer: world.crypto.signer(peer),
      clock,
      random: this.#prng.fork(`process ${++this.#boot}`),
      log: this.#log(),
    }
    const voter = this.#isVoter ? await this.#openVoter(deps, life) : undefined
    const leases = createLeaseService({
      ...deps,
      timings: world.plan.timings,
      boot: this.#boot,
      reached: (position, signal) => world.arrivals.reached(position, signal, clock),
      ...(voter && { voter: this.#tapped(voter) }),
    })
    this.process = { life, clock, peer, leases }
    world.started(this, this.process)
  }

  /** The process ends at once; with `reboot` the clocks start anew. */
  crash(reboot: boolean): void {
    if (!this.#life) return
    this.#world.trace?.(`${this.name} ${reboot ? 'loses power' : 'dies'}`)
    this.#life.isAlive = false
    this.#life = undefined
    this.clock.dropTimers()
    if (this.clock.isSuspended) this.clock.resume()
    if (reboot) this.clock.reboot(this.#prng.between(0, REBOOT_MS_MAX))
    this.#world.network.leave(this.peer)
    this.disk.crash()
    const ended = this.process
    this.process = undefined
    if (ended) this.#world.ended(ended)
  }

  suspend(): void {
    if (!this.#life || this.clock.isSuspended) return
    this.#world.trace?.(`${this.name} falls asleep`)
    this.clock.suspend()
    this.#world.network.suspend(this.peer)
  }

  resume(): void {
    if (!this.clock.isSuspended) return
    this.#world.trace?.(`${this.name} wakes up`)
    this.clock.resume()
    this.#life?.touch()
    this.#world.network.resume(this.peer)
  }

  touch(): void {
    this.#life?.touch()
  }

  /** The disk is replaced by an empty one. */
  async wipe(): Promise<void> {
    this.crash(true)
    this.#world.trace?.(`${this.name} loses its disk`)
    this.disk.wipe()
    for (const { node, inc } of this.#world.config.voters) if (node === this.peer) this.answers.wiped(inc)
    this.promises.wiped()
    if (this.#prng.chance(NEW_IDENTITY_RATE)) await this.prepare()
  }

  /** Sees everything that leaves this voter, also what does not go over the network. */
  answered({ t, m }: LeaseMessage): void {
    const { counts } = this.#world
    this.#world.trace?.(`${this.name} answers ${t} ${'lid' in m ? m.lid.slice(0, 6) : ''} ${'why' in m ? m.why : ''}`)
    if (t === 'grant') this.answers.grantLeaves(m)
    if (t === 'deny') counts[`denied${capitalised(m.why)}`] += 1
    if (t === 'prove') counts.rollbackQuestions += 1
    if (t === 'free') counts.freeHints += 1
  }

  get #isVoter(): boolean {
    return this.#world.config.voters.some(({ node }) => node === this.peer)
  }

  #knownMembership(): Membership {
    if (!this.membership) throw new Error('the mesh does not exist yet')
    return this.membership
  }

  #journal(life: Life, clock: Clock): LeaseJournal {
    return openSimJournal(this.disk, { life, clock }, this.promises)
  }

  async #openVoter(deps: Omit<Parameters<typeof openLeaseVoter>[0], 'journal'>, life: Life): Promise<LeaseVoter> {
    const journal = this.#journal(life, deps.clock)
    const hasHistory = this.disk.state.length > 1
    if (hasHistory) this.#world.counts.voterRestores += 1
    if (hasHistory && this.#prng.chance(COMPACT_RATE)) await this.#compact(journal, deps.clock)
    return await openLeaseVoter({ ...deps, journal })
  }

  /** As the running voter does when its journal has grown. */
  async #compact(journal: LeaseJournal, clock: Clock): Promise<void> {
    const { crypto, config } = this.#world
    const set = voterSetOf(crypto, config)
    const voter = new Voter(
      {
        keys: { crypto, signer: crypto.signer(this.peer) },
        voterSet: () => set,
        isMember: () => true,
        newIncarnation: () => createVoterIncarnation(this.#prng),
      },
      await journal.replay(),
      clock.monoMs(),
    )
    await journal.compact(voter.snapshot())
  }

  #tapped(voter: LeaseVoter): LeaseVoter {
    return {
      ...voter,
      submit: (from, message, sink) =>
        voter.submit(from, message, (reply) => {
          this.answered(reply)
          sink(reply)
        }),
    }
  }

  /** Interruptions are counted; what a node calls an error or a warning has no place in a mesh of honest nodes. */
  #log(): Log {
    const { counts, violations } = this.#world
    const broken = (fields: object, message: string): void =>
      violations.add('log', `${message} ${'err' in fields ? String(fields.err) : ''}`)
    return {
      debug: () => undefined,
      info: (fields) => {
        const state = 'state' in fields ? fields.state : undefined
        if (state === 'suspended' || state === 'resumed' || state === 'lost') counts[state] += 1
      },
      warn: broken,
      error: broken,
    }
  }
}

const WALL_START_MS = 1_800_000_000_000

const capitalised = <T extends string>(word: T): Capitalize<T> =>
  (word.charAt(0).toUpperCase() + word.slice(1)) as Capitalize<T>

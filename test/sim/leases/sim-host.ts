import type { PeerId } from '../../../crdt/ids.ts'
import type { Clock } from '../../../node/ports/clock.ts'
import type { LeaseJournal } from '../../../node/ports/lease-journal.ts'
import { createLeaseService, type RunningLeaseService } from '../../../node/services/leases/lease-holder.ts'
import {
  createVoterIncarnation,
  openLeaseVoter,
  prepareVoterJournal,
} from '../../../node/services/leases/lease-voter.ts'
import type { LeaseVoter } from '../../../node/services/leases/lease-voter.ts'
import { Signatures } from '../../../protocols/lease/signing.ts'
import { Voter } from '../../../protocols/lease/voter.ts'
import { hasCapability, type Membership } from '../../../protocols/membership/membership.ts'
import { SignedAnswers } from './checkers/answers.ts'
import { VoterPromises } from './checkers/promises.ts'
import { Notebook } from './notebook.ts'
import { Life } from '../ports/life.ts'
import type { Prng } from '../ports/prng.ts'
import { SimClock } from '../ports/sim-clock.ts'
import { SimDisk } from '../ports/sim-disk.ts'
import { openSimJournal } from '../ports/sim-journal.ts'
import { createSimLog } from './sim-log.ts'
import { nameOfNode, withRecord, type LogRecord } from './sim-membership.ts'
import { Violations } from '../violations.ts'
import { answerOf, type Answer } from './wire.ts'
import type { World } from './world.ts'

/** A running process of a host. */
export type Process = {
  readonly life: Life
  readonly clock: Clock
  readonly peer: PeerId
  readonly host: SimHost
  readonly leases: RunningLeaseService
  readonly voter: LeaseVoter
  readonly journal: LeaseJournal
}

type VoterDeps = Omit<Parameters<typeof openLeaseVoter>[0], 'journal'>

const REBOOT_MS_MAX = 60_000
const WALL_START_MS = 1_800_000_000_000
/** A restart sometimes finds its journal compacted: in a short run it never grows enough by itself. */
const COMPACT_RATE = 0.2

/** One machine: clocks and a disk that outlive its processes. */
export class SimHost {
  readonly peer: PeerId
  readonly name: string
  /** Whether its disk is rolled back again and again. */
  readonly isFaulty: boolean
  readonly clock: SimClock
  readonly disk: SimDisk<Uint8Array[]>
  readonly notes: Notebook
  readonly promises: VoterPromises
  readonly answers: SignedAnswers
  process: Process | undefined
  /** Changes of the voters that somebody is waiting for here. */
  changesRunning = 0
  #membership: Membership | undefined
  #life: Life | undefined
  #boot = 0
  #copy: Uint8Array[] | undefined
  readonly #world: World
  readonly #prng: Prng

  constructor(world: World, peer: PeerId, n: number) {
    this.#world = world
    this.#prng = world.prng.fork(`host ${n}`)
    this.peer = peer
    this.name = nameOfNode(n)
    this.isFaulty = world.plan.kind === 'rollback' && n === 0
    this.clock = new SimClock(world.time, {
      bootMs: this.#prng.between(0, REBOOT_MS_MAX),
      wallMs: WALL_START_MS + this.#prng.between(-1e6, 1e6),
    })
    this.disk = new SimDisk<Uint8Array[]>(() => [], world.plan.disk, this.#prng.fork('disk'))
    this.notes = new Notebook(world.time, this.#prng.fork('notes'))
    // Of a voter that forgets what it did nobody expects that it keeps its word: the others make up for it.
    const violations = this.isFaulty ? new Violations() : world.violations
    this.promises = new VoterPromises(this.name, () => this.clock.monoMs(), violations)
    this.answers = new SignedAnswers(this.name, this.promises, violations)
  }

  get isUp(): boolean {
    return this.#life !== undefined
  }

  get isAwake(): boolean {
    return this.isUp && !this.clock.isSuspended
  }

  /** What this node knows of the membership log. */
  get membership(): Membership {
    if (!this.#membership) throw new Error('the mesh does not exist yet')
    return this.#membership
  }

  /** Makes a voter identity on the empty disk. */
  async prepare(): Promise<string> {
    const life = new Life()
    const journal = this.#journal(life, this.clock.port(life))
    return await prepareVoterJournal(journal, this.#prng)
  }

  join(membership: Membership): void {
    this.#membership = membership
    void this.start()
  }

  /** The node hears of what is in the membership log. */
  learn(record: LogRecord): void {
    this.#membership = withRecord(this.membership, record)
    this.touch()
    this.process?.leases.membershipChanged()
  }

  async start(): Promise<void> {
    if (this.#life || !this.#membership) return
    const life = new Life()
    this.#life = life
    const world = this.#world
    const { peer } = this
    const clock = this.clock.port(life)
    const network = world.network.join(peer, life, (from) => this.membership.members.has(from))
    const deps = {
      network,
      membership: () => this.membership,
      crypto: world.crypto,
      signer: world.crypto.signer(peer),
      clock,
      random: this.#prng.fork(`process ${++this.#boot}`),
      log: createSimLog(this.name, world),
    }
    const journal = this.#journal(life, clock)
    const voter = this.#tapped(await this.#openVoter(deps, journal))
    const leases = createLeaseService({
      ...deps,
      timings: world.plan.timings,
      boot: this.#boot,
      reached: (position, signal) => world.arrivals.reached(position, signal, clock),
      voterLog: world.log.port(this, () => life.isAlive),
      nameOf: (of) => this.membership.members.get(of)?.name ?? of,
      isOnline: () => true,
      voter,
    })
    this.process = { life, clock, peer, host: this, leases, voter, journal }
    world.started(this, this.process)
  }

  /** The process ends as it should; resolves when it has. */
  async stop(): Promise<void> {
    const { process } = this
    if (!process) return
    this.#world.trace?.(`${this.name} stops`)
    await process.leases.close()
    await process.voter.close()
    // A disk that fails now ends the process by itself.
    await process.journal.close().catch(() => undefined)
    // It may have died while it was at it.
    if (this.process === process) this.crash(false)
  }

  /** The process ends at once; with `reboot` the clocks start anew. */
  crash(reboot: boolean): void {
    if (!this.#life) return
    this.#world.trace?.(`${this.name} ${reboot ? 'loses power' : 'dies'}`)
    this.#life.isAlive = false
    this.#life = undefined
    this.changesRunning = 0
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

  /** Whether a node that is up knows the voters of this epoch. */
  knowsEpoch(epoch: number): boolean {
    return this.process !== undefined && this.process.leases.changes.view().epoch >= epoch
  }

  touch(): void {
    this.#life?.touch()
  }

  /** The voter's disk is replaced by an empty one: the next start votes under another incarnation. */
  wipe(): void {
    this.crash(true)
    this.#world.trace?.(`${this.name} loses its disk`)
    this.disk.wipe()
    this.answers.wiped()
    this.promises.wiped()
  }

  copyDisk(): void {
    this.#copy = [...this.disk.state]
  }

  /** The disk is again what it was when it was copied; false when it never was. */
  rollBack(): boolean {
    if (!this.#copy) return false
    this.crash(true)
    this.#world.trace?.(`the disk of ${this.name} is rolled back`)
    this.disk.state = [...this.#copy]
    return true
  }

  /** Sees everything that leaves this voter, also what does not go over the network. */
  answered(answer: Answer): void {
    const { counts, ballots, trace } = this.#world
    trace?.(`${this.name} answers ${describe(answer)}`)
    if ('body' in answer) this.answers.leaves(answer)
    if (answer.t === 'deny') counts[`denied${capitalised(answer.deny.why)}`] += 1
    if (answer.t === 'prove') counts.rollbackQuestions += 1
    if (answer.t === 'free') counts.freeHints += 1
    if (answer.t === 'outbid') counts.outbids += 1
    if (answer.t === 'seal') ballots.sealed(answer.body)
  }

  #journal(life: Life, clock: Clock): LeaseJournal {
    return openSimJournal(this.disk, { life, clock }, this.promises)
  }

  async #openVoter(deps: VoterDeps, journal: LeaseJournal): Promise<LeaseVoter> {
    const hasHistory = this.disk.state.length > 2
    if (hasHistory) this.#world.counts.voterRestores += 1
    if (hasHistory && this.#prng.chance(COMPACT_RATE)) await this.#compact(journal, deps)
    return await openLeaseVoter({ ...deps, journal })
  }

  /** As the running voter does when its journal has grown. */
  async #compact(journal: LeaseJournal, { crypto, signer, clock, membership }: VoterDeps): Promise<void> {
    const voter = new Voter(
      {
        signatures: new Signatures({ crypto, signer }),
        sha256: (data) => crypto.sha256(data),
        isMember: (peer) => membership().members.has(peer),
        isAdmin: (peer) => hasCapability(membership(), peer, 'admin'),
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
          const answer = answerOf(reply)
          if (answer) this.answered(answer)
          sink(reply)
        }),
    }
  }
}

const describe = (answer: Answer): string =>
  [
    answer.t,
    answer.t === 'grant' && answer.body.lid.slice(0, 6),
    answer.t === 'deny' && `${answer.deny.lid.slice(0, 6)} ${answer.deny.why}`,
  ]
    .filter(Boolean)
    .join(' ')

const capitalised = <T extends string>(word: T): Capitalize<T> =>
  (word.charAt(0).toUpperCase() + word.slice(1)) as Capitalize<T>

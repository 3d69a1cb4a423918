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
import { SimDisk } from '../ports/sim-disk.ts'
import { openSimJournal } from '../ports/sim-journal.ts'
import { SimMachine } from '../sim-machine.ts'
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

/** A restart sometimes finds its journal compacted: in a short run it never grows enough by itself. */
const COMPACT_RATE = 0.2

/** A machine whose disk is the journal of its voter. */
export class SimHost extends SimMachine {
  readonly disk: SimDisk<Uint8Array[]>
  /** Whether its disk is rolled back again and again. */
  readonly isFaulty: boolean
  readonly notes: Notebook
  readonly promises: VoterPromises
  readonly answers: SignedAnswers
  process: Process | undefined
  /** Changes of the voters that somebody is waiting for here. */
  changesRunning = 0
  #membership: Membership | undefined
  #boot = 0
  #copy: Uint8Array[] | undefined
  readonly #world: World

  constructor(world: World, peer: PeerId, n: number) {
    super(world, { peer, name: nameOfNode(n), prng: world.prng.fork(`host ${n}`) })
    this.#world = world
    this.disk = new SimDisk<Uint8Array[]>(() => [], world.plan.disk, this.prng.fork('disk'))
    this.isFaulty = world.plan.kind === 'rollback' && n === 0
    this.notes = new Notebook(world.time, this.prng.fork('notes'))
    // Of a voter that forgets what it did nobody expects that it keeps its word: the others make up for it.
    const violations = this.isFaulty ? new Violations() : world.violations
    this.promises = new VoterPromises(this.name, () => this.clock.monoMs(), violations)
    this.answers = new SignedAnswers(this.name, this.promises, violations)
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
    return await prepareVoterJournal(journal, this.prng)
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
    if (this.life || !this.#membership) return
    const life = new Life()
    this.life = life
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
      random: this.prng.fork(`process ${++this.#boot}`),
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

  protected ended(): void {
    this.changesRunning = 0
    const { process } = this
    this.process = undefined
    if (process) this.#world.ended(process)
  }

  /** Whether a node that is up knows the voters of this epoch. */
  knowsEpoch(epoch: number): boolean {
    return this.process !== undefined && this.process.leases.changes.view().epoch >= epoch
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
    if (hasHistory && this.prng.chance(COMPACT_RATE)) await this.#compact(journal, deps)
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
        newIncarnation: () => createVoterIncarnation(this.prng),
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

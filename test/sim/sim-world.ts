import type { PeerId } from '../../crdt/ids.ts'
import type { Counts } from './counting.ts'
import type { Prng } from './ports/prng.ts'
import { SOUND_DISK, type DiskFaults } from './ports/sim-disk.ts'
import { NO_FAULTS, SimNetwork, type NetworkFaults } from './ports/sim-network.ts'
import { VirtualTime } from './ports/virtual-time.ts'
import type { SimMachine } from './sim-machine.ts'
import { Violations } from './violations.ts'

/** The kind of world that one seed stands for, as far as all worlds have it. */
export type CommonPlan = {
  readonly seed: number
  /** Until all faults end. */
  readonly activeMs: number
  readonly network: NetworkFaults
  readonly disk: DiskFaults
  /** Faults of the whole world by kind, each with the mean pause between two of them; 0 = never. */
  readonly faults: Readonly<Record<string, number>>
  /** Whether clocks run at their own rates. */
  readonly drift: boolean
}

/** A mesh with production code inside, on simulated machines; everything follows from the plan. */
export abstract class SimWorld<Plan extends CommonPlan = CommonPlan> {
  readonly plan: Plan
  readonly prng: Prng
  readonly time = new VirtualTime()
  readonly violations = new Violations()
  readonly network: SimNetwork
  abstract readonly counts: Counts
  abstract readonly machines: readonly SimMachine[]
  /** The longest that a machine sleeps, and that links are cut. */
  abstract readonly asleepMsMax: number
  abstract readonly cutMsMax: number
  /** Told of what happens, in verbose runs. */
  trace: ((what: string) => void) | undefined
  /** From now on nothing new is begun. */
  isEnding = false

  constructor(plan: Plan, prng: Prng) {
    this.plan = plan
    this.prng = prng
    this.network = new SimNetwork(this.time, prng.fork('network'), plan.network)
  }

  /** Everybody with a place in the network. */
  get peers(): readonly PeerId[] {
    return this.machines.map(({ peer }) => peer)
  }

  /** Equal for equal runs, and for hardly any others. */
  get hash(): string {
    return `${this.time.count}/${this.time.hash.toString(16)}`
  }

  abstract nameOf(peer: PeerId): string

  abstract found(): Promise<void>

  /** Makes a fault of this kind happen now. */
  abstract inject(kind: string, prng: Prng): void

  /** After the last fault: what has to hold when all is calm. */
  abstract end(): Promise<void>

  /** Counts what is left to be counted, and lets go of everything. */
  async close(): Promise<void> {}

  /** All faults end. */
  calm(): void {
    this.trace?.('all faults end')
    this.isEnding = true
    this.network.healAll()
    this.network.faults = NO_FAULTS
    for (const { disk } of this.machines) disk.faults = SOUND_DISK
  }
}

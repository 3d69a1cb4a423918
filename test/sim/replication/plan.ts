import { Prng } from '../ports/prng.ts'
import { SOUND_DISK, type DiskFaults } from '../ports/sim-disk.ts'
import { NO_FAULTS, type NetworkFaults } from '../ports/sim-network.ts'
import { SOUND_STORE, type StoreFaults } from './store.ts'

/** Faults of the whole world by kind, each with the mean pause between two of them; 0 = never. */
export type FaultPauses = Readonly<
  Record<
    | 'crash'
    | 'stop'
    | 'suspend'
    | 'partition'
    | 'oneWayCut'
    | 'reset'
    | 'clockStep'
    | 'rateChange'
    | 'diskLoss'
    | 'join'
    | 'removal',
    number
  >
>

export type WriterHabits = {
  readonly perNode: number
  readonly thinkMs: number
  /** Share of writes that come as a burst within one tick. */
  readonly burstRate: number
  /** Share of changes that throw half-way. */
  readonly failRate: number
  /** Share of writes that are as large as an envelope may be. */
  readonly largeRate: number
}

/** What a member with a modified program does: never anything that proves it, or whatever it can. */
export type Temper = 'sly' | 'brazen'

/** The kind of world that one seed stands for. */
export type Plan = {
  readonly seed: number
  /** Honest nodes at the beginning; the first is the founder. */
  readonly nodes: number
  /** Share of them that may remove others. */
  readonly adminRate: number
  readonly hostile: readonly Temper[]
  readonly attackPauseMs: number
  /** Names of the attacks of all of them; none: each has a repertoire of its own. */
  readonly focus: readonly string[]
  readonly activeMs: number
  /** Synchronisation goes over streams, as the port promises; otherwise over something worse than any transport. */
  readonly streams: boolean
  readonly network: NetworkFaults
  readonly disk: DiskFaults
  readonly store: StoreFaults
  readonly faults: FaultPauses
  readonly writers: WriterHabits
  /** Whether clocks run at their own rates. */
  readonly drift: boolean
  /** Connections are dialled, and kept, as the real adapter does; otherwise all that can be connected are. */
  readonly dialled: boolean
}

/** Writes of a world, about: most worlds are small, since many small ones find more than few large ones. */
const WRITES = [10, 20, 20, 40, 40, 80, 80, 200]

/** Swarm testing: a world with everything at once hides what only shows when something else is missing. */
export function drawPlan(seed: number): Plan {
  const prng = new Prng(seed).fork('replication plan')
  const sometimes = (probability: number, draw: () => number): number => (prng.chance(probability) ? draw() : 0)
  const activeMs = prng.between(8000, 35_000)
  const nodes = prng.pick([2, 3, 3, 4, 5])
  const perNode = prng.int(1, 2)
  const writes = prng.pick(WRITES)
  // As many faults in a short world as in a long one.
  const pause = (share: number) => sometimes(0.5, () => activeMs * share * prng.between(0.5, 2))
  return {
    seed,
    nodes,
    adminRate: prng.pick([0, 0.3, 1]),
    hostile: Array.from({ length: prng.pick([0, 0, 1, 1, 1, 2]) }, () => prng.pick<Temper>(['sly', 'brazen'])),
    focus: [],
    attackPauseMs: activeMs / prng.between(5, 40),
    activeMs,
    streams: prng.chance(0.5),
    network: {
      latencyMs: prng.between(2, 150),
      dropRate: sometimes(0.5, () => prng.between(0, 0.3)),
      duplicateRate: sometimes(0.5, () => prng.between(0, 0.2)),
      lateRate: sometimes(0.4, () => prng.between(0, 0.1)),
    },
    disk: {
      syncMinMs: 1,
      syncMaxMs: prng.between(1, 40),
      slowRate: sometimes(0.4, () => prng.between(0, 0.15)),
    },
    store: {
      refuseRate: sometimes(0.2, () => prng.between(0, 0.1)),
      slowReadRate: sometimes(0.5, () => prng.between(0, 0.5)),
    },
    faults: {
      crash: pause(0.2),
      stop: pause(0.4),
      suspend: pause(0.3),
      partition: pause(0.25),
      oneWayCut: pause(0.25),
      reset: pause(0.2),
      clockStep: pause(0.3),
      rateChange: pause(0.3),
      diskLoss: sometimes(0.25, () => activeMs * prng.between(0.2, 1)),
      join: sometimes(0.5, () => activeMs * prng.between(0.2, 0.6)),
      removal: sometimes(0.4, () => activeMs * prng.between(0.2, 0.8)),
    },
    writers: {
      perNode,
      thinkMs: (activeMs * nodes * perNode) / writes,
      burstRate: sometimes(0.5, () => prng.between(0, 0.2)),
      failRate: sometimes(0.5, () => 0.05),
      largeRate: sometimes(0.15, () => 0.03),
    },
    drift: prng.chance(0.6),
    dialled: false,
  }
}

/** As many nodes, and nothing that goes wrong by itself. */
export const calmPlan = (seed: number, nodes: number): Plan => ({
  ...drawPlan(seed),
  nodes,
  adminRate: 0,
  hostile: [],
  streams: true,
  network: { ...NO_FAULTS, latencyMs: 10 },
  disk: SOUND_DISK,
  store: SOUND_STORE,
  faults: NO_FAULT_EVER,
  writers: { perNode: 0, thinkMs: 1000, burstRate: 0, failRate: 0, largeRate: 0 },
  drift: false,
  dialled: true,
})

const NO_FAULT_EVER: FaultPauses = {
  crash: 0,
  stop: 0,
  suspend: 0,
  partition: 0,
  oneWayCut: 0,
  reset: 0,
  clockStep: 0,
  rateChange: 0,
  diskLoss: 0,
  join: 0,
  removal: 0,
}

/** A member that tells two histories of its feed to some each, who then write upon them apart from each other. */
export const withTwoHistories = (plan: Plan): Plan => ({
  ...plan,
  nodes: 4,
  hostile: ['brazen'],
  focus: ['writesTwoHistories'],
  attackPauseMs: plan.activeMs / 6,
  faults: { ...plan.faults, partition: plan.activeMs / 6 },
})

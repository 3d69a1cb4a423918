import { DEFAULT_TIMINGS, type LeaseTimings } from '../../protocols/lease/timings.ts'
import { Prng } from './ports/prng.ts'
import type { DiskFaults } from './ports/sim-disk.ts'
import type { NetworkFaults } from './ports/sim-network.ts'

/** Faults of the whole world by kind, each with the mean pause between two of them; 0 = never. */
export type FaultPauses = Readonly<
  Record<
    | 'crash'
    | 'suspend'
    | 'partition'
    | 'oneWayCut'
    | 'reset'
    | 'clockStep'
    | 'rateChange'
    | 'wipe'
    | 'removal'
    | 'reconfigure',
    number
  >
>

export type AgentHabits = {
  readonly perNode: number
  readonly thinkMs: number
  readonly workMs: number
  /** Share of agents that die while they hold a lease. */
  readonly dieRate: number
  /** Share of writes that stall for up to 30 s between check and effect. */
  readonly stallRate: number
  /** Share of releases that hand on a last write, and how long such a write takes to arrive everywhere. */
  readonly lastWriteRate: number
  readonly arrivalMs: number
}

/** The kind of world that one seed stands for. */
export type Plan = {
  readonly seed: number
  readonly nodes: number
  readonly voters: number
  /** The first so many nodes may say who votes. */
  readonly admins: number
  readonly hotFiles: number
  readonly activeMs: number
  readonly timings: LeaseTimings
  readonly network: NetworkFaults
  readonly disk: DiskFaults
  readonly faults: FaultPauses
  /** Whether clocks run at their own rates. */
  readonly drift: boolean
  readonly agents: AgentHabits
}

/** As short as to live through several lapses in a short run. */
const SHORT: LeaseTimings = { ...DEFAULT_TIMINGS, ttlMs: 20_000, holdMs: 3000 }

/** Swarm testing: a world with everything at once hides what only shows when something else is missing. */
export function drawPlan(seed: number): Plan {
  const prng = new Prng(seed).fork('plan')
  const sometimes = (probability: number, draw: () => number): number => (prng.chance(probability) ? draw() : 0)
  const pause = (meanMs: number) => sometimes(0.5, () => meanMs * prng.between(0.5, 3))
  const nodes = prng.int(1, 6)
  const isShort = prng.chance(0.8)
  return {
    seed,
    nodes,
    voters: prng.int(1, Math.min(5, nodes)),
    admins: prng.int(1, Math.min(3, nodes)),
    hotFiles: prng.int(1, 3),
    activeMs: isShort ? prng.between(40_000, 120_000) : prng.between(120_000, 240_000),
    timings: isShort ? SHORT : DEFAULT_TIMINGS,
    network: {
      latencyMs: prng.between(2, 120),
      dropRate: sometimes(0.6, () => prng.between(0, 0.3)),
      duplicateRate: sometimes(0.5, () => prng.between(0, 0.2)),
      lateRate: sometimes(0.4, () => prng.between(0, 0.08)),
    },
    disk: {
      syncMinMs: 1,
      syncMaxMs: prng.between(1, 25),
      slowRate: sometimes(0.3, () => prng.between(0, 0.1)),
    },
    faults: {
      crash: pause(15_000),
      suspend: pause(20_000),
      partition: pause(20_000),
      oneWayCut: pause(20_000),
      reset: pause(15_000),
      clockStep: pause(20_000),
      rateChange: pause(20_000),
      wipe: sometimes(0.3, () => prng.between(30_000, 150_000)),
      removal: sometimes(0.2, () => prng.between(20_000, 100_000)),
      reconfigure: sometimes(0.5, () => prng.between(15_000, 60_000)),
    },
    drift: prng.chance(0.8),
    agents: {
      perNode: prng.int(1, 3),
      thinkMs: prng.between(500, 12_000),
      workMs: prng.between(200, 8000),
      dieRate: sometimes(0.7, () => 0.07),
      stallRate: sometimes(0.6, () => 0.3),
      lastWriteRate: sometimes(0.5, () => 0.5),
      arrivalMs: prng.between(10, 4000),
    },
  }
}

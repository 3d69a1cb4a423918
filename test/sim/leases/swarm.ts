import { DEFAULT_TIMINGS, type LeaseTimings } from '../../../protocols/lease/timings.ts'
import { WAIT_OUT_MS } from '../../../protocols/lease/voter-state.ts'
import { Prng } from '../ports/prng.ts'
import type { DiskFaults } from '../ports/sim-disk.ts'
import type { NetworkFaults } from '../ports/sim-network.ts'

const FAULT_KINDS = [
  'crash',
  'restart',
  'suspend',
  'breakDisk',
  'stepClock',
  'changeRate',
  'wipe',
  'rollBack',
  'partition',
  'cutOneWay',
  'resetChannels',
  'removeMember',
  'reconfigure',
  'forceVoters',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** Faults of the whole world by kind, each with the mean pause between two of them; 0 = never. */
export type FaultPauses = Readonly<Record<FaultKind, number>>

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

/**
 * `forced`: admins install voters by force, whose wait is lived through. `rollback`: one voter's disk comes back as it
 * once was, in a set that survives one such voter. `contest`: eight want one thing in the end.
 */
export type WorldKind = 'ordinary' | 'forced' | 'rollback' | 'contest'

/** The kind of world that one seed stands for. */
export type Plan = {
  readonly seed: number
  readonly kind: WorldKind
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

/** What of a world is given instead of drawn. With a length it is one that is quick to run: agents take their time. */
export type Shape = { readonly nodes?: number; readonly minutes?: number }

/** As short as to live through several lapses in a short run. */
const SHORT: LeaseTimings = { ...DEFAULT_TIMINGS, ttlMs: 20_000, holdMs: 3000 }

const KINDS: readonly (readonly [WorldKind, share: number])[] = [
  ['forced', 0.04],
  ['rollback', 0.08],
  ['contest', 0.06],
]
/** Two quorums of an even number of voters have two voters in common: one may forget what it promised. */
const ROLLBACK_VOTERS = [2, 4] as const

/** Swarm testing: a world with everything at once hides what only shows when something else is missing. */
export function drawPlan(seed: number, shape: Shape = {}): Plan {
  const prng = new Prng(seed).fork('plan')
  const kind = drawKind(prng)
  const drawnNodes = kind === 'rollback' ? prng.int(2, 6) : prng.int(1, 6)
  const nodes = shape.nodes ?? drawnNodes
  const isShort = prng.chance(0.85)
  const drawnMs = isShort ? prng.between(30_000, 90_000) : prng.between(100_000, 200_000)
  const watchdogMs = prng.between(1000, 6000)
  const activeMs = shape.minutes === undefined ? drawnMs : shape.minutes * 60_000
  return {
    seed,
    kind,
    nodes,
    voters: kind === 'rollback' ? (nodes >= 4 ? prng.pick(ROLLBACK_VOTERS) : 2) : prng.int(1, Math.min(5, nodes)),
    admins: prng.int(1, Math.min(3, nodes)),
    hotFiles: prng.int(1, 3),
    activeMs: activeMs + (kind === 'forced' ? WAIT_OUT_MS : 0),
    timings: { ...(isShort ? SHORT : DEFAULT_TIMINGS), watchdogMs },
    ...drawMachines(prng),
    faults: drawFaults(prng, kind),
    agents: drawAgents(prng, {
      isFew: nodes > AGENTS_MAX / 3,
      isPatient: shape.minutes !== undefined,
      isLong: kind === 'forced',
    }),
  }
}

function drawKind(prng: Prng): WorldKind {
  let dice = prng.fraction()
  for (const [kind, share] of KINDS) {
    if (dice < share) return kind
    dice -= share
  }
  return 'ordinary'
}

function drawMachines(prng: Prng): Pick<Plan, 'network' | 'disk' | 'drift'> {
  return {
    network: {
      latencyMs: prng.between(2, 120),
      dropRate: sometimes(prng, 0.6, [0, 0.3]),
      duplicateRate: sometimes(prng, 0.5, [0, 0.2]),
      lateRate: sometimes(prng, 0.4, [0, 0.08]),
    },
    disk: {
      syncMinMs: 1,
      syncMaxMs: prng.between(1, 25),
      slowRate: sometimes(prng, 0.3, [0, 0.1]),
    },
    drift: prng.chance(0.8),
  }
}

function drawFaults(prng: Prng, kind: WorldKind): FaultPauses {
  const pause = (meanMs: number): number => sometimes(prng, 0.5, [0.5 * meanMs, 3 * meanMs])
  const drawn = {
    crash: pause(15_000),
    restart: pause(40_000),
    suspend: pause(20_000),
    breakDisk: sometimes(prng, 0.3, [20_000, 100_000]),
    stepClock: pause(20_000),
    changeRate: pause(20_000),
    wipe: sometimes(prng, 0.3, [30_000, 150_000]),
    partition: pause(20_000),
    cutOneWay: pause(20_000),
    resetChannels: pause(15_000),
    removeMember: sometimes(prng, 0.2, [20_000, 100_000]),
    reconfigure: sometimes(prng, 0.6, [8000, 50_000]),
    rollBack: 0,
    forceVoters: 0,
  }
  if (kind === 'forced') return { ...RARE_FAULTS, forceVoters: prng.between(15_000, 60_000) }
  if (kind === 'rollback') return { ...drawn, removeMember: 0, reconfigure: 0, rollBack: prng.between(4000, 20_000) }
  return drawn
}

/** In a world that lasts as long as a wait after force nothing may begin that wait anew all the time. */
const RARE_FAULTS: FaultPauses = {
  ...(Object.fromEntries(FAULT_KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>),
  partition: 60_000,
  cutOneWay: 60_000,
  wipe: 90_000,
  crash: 300_000,
  suspend: 120_000,
  stepClock: 120_000,
}

/** More would spend their time on being refused. */
const AGENTS_MAX = 8

type Temper = { readonly isFew: boolean; readonly isPatient: boolean; readonly isLong: boolean }

function drawAgents(prng: Prng, { isFew, isPatient, isLong }: Temper): AgentHabits {
  const drawnPerNode = prng.chance(0.6) ? 1 : prng.int(2, 3)
  const drawn = {
    perNode: isFew ? 1 : drawnPerNode,
    // Mostly patient: what is refused again and again costs most of the time and shows the least.
    thinkMs: 1000 * 2 ** prng.between(1.5, 6),
    workMs: prng.between(200, 8000),
    dieRate: prng.chance(0.7) ? 0.07 : 0,
    stallRate: prng.chance(0.6) ? 0.3 : 0,
    lastWriteRate: prng.chance(0.5) ? 0.5 : 0,
    arrivalMs: prng.between(10, 4000),
  }
  if (isPatient) return { ...drawn, perNode: 1, thinkMs: prng.between(60_000, 200_000) }
  return isLong ? { ...drawn, perNode: 1, thinkMs: prng.between(20_000, 60_000) } : drawn
}

const sometimes = (prng: Prng, probability: number, [min, max]: readonly [number, number]): number =>
  prng.chance(probability) ? prng.between(min, max) : 0

import { setTimeout as sleep } from 'node:timers/promises'
import { createDice } from '../chaos/dice.ts'
import { churn, type Ledger } from './churn.ts'
import { endState, type EndState } from './end.ts'
import { startSoakMesh, type SoakMesh } from './mesh.ts'
import { handlesOf, lastLife, sampleOf, slopePerHour, type Sample } from './samples.ts'

const SAMPLE_EVERY_MS = 5000
const TELL_EVERY_SAMPLES = 12
/** Code is compiled, caches and the store's memory tables are filled by then. */
const WARM_UP_SHARE = 1 / 3
/** Below so many minutes after the warm-up a slope per hour is noise. */
const SLOPE_MINUTES_MIN = 30
/** What documents grow by in an hour of work, and some: a leak under this churn is more. */
const SLOPE_MAX_MB_PER_HOUR = 30

export type SoakOptions = { readonly nodes: number; readonly minutes: number; readonly seed: number }

/** A report is one line; whoever wants all of the log keeps the nodes. */
const MESSAGES_MAX = 10

type NodeReport = {
  readonly steady: boolean
  /** Minutes of its last process after the warm-up: what the slopes are made of. */
  readonly minutes: number
  readonly rssMb: number
  readonly heapMb: number
  readonly rssSlopeMbPerHour: number | null
  readonly heapSlopeMbPerHour: number | null
  readonly storeMb: number
  readonly loopDelayMaxMs: number
  /** Lines at the level warn and above, of all its processes. */
  readonly logLines: number
  /** What they say, each message once. */
  readonly logged: readonly string[]
}

export type SoakReport = SoakOptions &
  EndState & {
    readonly seconds: number
    readonly done: Record<string, number>
    readonly perNode: Record<string, NodeReport>
    readonly violations: readonly string[]
  }

/**
 * Lets a mesh work under churn, then looks whether memory, handles and replicas are as they should be. When it is
 * interrupted, the churn ends earlier and everything else is done.
 */
export async function runSoak(
  options: SoakOptions,
  say: (text: string) => void,
  interrupted: AbortSignal,
): Promise<SoakReport> {
  const began = performance.now()
  const ledger: Ledger = { created: new Set(), completed: new Set(), done: {}, violations: [] }
  say(`starting ${options.nodes} nodes (seed ${options.seed})`)
  const mesh = await startSoakMesh(options.nodes)
  say('the mesh is there; the churn begins')
  try {
    const before = new Map(mesh.members.map(({ name, node }) => [name, handlesOf(node.process.pid ?? 0)]))
    const startedMs = performance.now()
    const samples = await work(mesh, { options, ledger, say, interrupted })
    say('the churn is over, waiting for the mesh to come to rest')
    const end = await endState(mesh, before, ledger)
    const fromMs = startedMs + options.minutes * 60_000 * WARM_UP_SHARE
    const perNode = Object.fromEntries(
      mesh.members.map(({ name, isSteady, log }) => [
        name,
        reportOf(samples.get(name) ?? [], { fromMs, isSteady, log }),
      ]),
    )
    ledger.violations.push(...growth(perNode))
    const seconds = Math.round((performance.now() - began) / 1000)
    return { ...options, ...end, seconds, done: ledger.done, perNode, violations: ledger.violations }
  } finally {
    await mesh.dispose()
  }
}

type Samples = Map<string, Sample[]>

type Work = {
  readonly options: SoakOptions
  readonly ledger: Ledger
  readonly say: (text: string) => void
  readonly interrupted: AbortSignal
}

async function work(mesh: SoakMesh, { options, ledger, say, interrupted }: Work): Promise<Samples> {
  const end = AbortSignal.any([AbortSignal.timeout(options.minutes * 60_000), interrupted])
  const churning = churn({ mesh, dice: createDice(options.seed), ledger, signal: end })
  const samples: Samples = new Map(mesh.members.map(({ name }) => [name, []]))
  for (let round = 1; !end.aborted; round++) {
    for (const { name, node } of mesh.members) {
      const sample = await sampleOf(node)
      if (sample) samples.get(name)?.push(sample)
    }
    if (round % TELL_EVERY_SAMPLES === 0) say(lineOf(samples))
    await sleep(SAMPLE_EVERY_MS)
  }
  await churning
  return samples
}

const lineOf = (samples: Samples): string =>
  [...samples]
    .map(([name, all]) => `${name} ${all.at(-1)?.rssMb.toFixed(0)} MB ${all.at(-1)?.handles} handles`)
    .join(' · ')

function reportOf(
  samples: readonly Sample[],
  { fromMs, isSteady, log }: { fromMs: number; isSteady: boolean; log: string },
): NodeReport {
  const life = lastLife(samples, fromMs)
  const [first, last] = [life[0], samples.at(-1)]
  const slope = (value: (sample: Sample) => number): number | null => {
    const perHour = slopePerHour(life, value)
    return Number.isFinite(perHour) ? round(perHour) : null
  }
  const messages = log
    .split('\n')
    .filter((line) => line !== '')
    .map(told)
  return {
    steady: isSteady,
    minutes: first && last ? round((last.atMs - first.atMs) / 60_000) : 0,
    rssMb: round(last?.rssMb ?? 0),
    heapMb: round(last?.heapMb ?? 0),
    rssSlopeMbPerHour: slope(({ rssMb }) => rssMb),
    heapSlopeMbPerHour: slope(({ heapMb }) => heapMb),
    storeMb: round(last?.storeMb ?? 0),
    loopDelayMaxMs: round(Math.max(0, ...samples.map(({ loopDelayMaxMs }) => loopDelayMaxMs))),
    logLines: messages.length,
    logged: [...new Set(messages)].slice(0, MESSAGES_MAX),
  }
}

const ERROR_LEVEL = 50

/** What a warning says, and of which error; all of an error, and of what is no line of the log. */
function told(line: string): string {
  try {
    const { level, msg, err } = JSON.parse(line)
    if (level >= ERROR_LEVEL) return line
    return err === undefined ? msg : `${msg}: ${err.stack ?? err.message}`
  } catch {
    return line
  }
}

const round = (value: number): number => Math.round(value * 10) / 10

/** Only of processes that lived long enough for their slope to mean something. */
const growth = (perNode: Readonly<Record<string, NodeReport>>): string[] =>
  Object.entries(perNode).flatMap(([name, { minutes, rssSlopeMbPerHour: slope }]) =>
    minutes >= SLOPE_MINUTES_MIN && slope !== null && slope > SLOPE_MAX_MB_PER_HOUR
      ? [`the memory of ${name} grows by ${slope} MB per hour`]
      : [],
  )

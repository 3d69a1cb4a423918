import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runAgent } from './agent.ts'
import { startCluster, type ChaosTimings, type Cluster } from './cluster.ts'
import { createDice } from './dice.ts'
import { checkAfterwards } from './end-phase.ts'
import { checkHistory } from './history-check.ts'
import { HistoryLog, type HistoryEntry } from './history.ts'
import { createHotTasks } from './hot-tasks.ts'
import { createNemesis, FAULTS, type FaultKind } from './nemesis.ts'

/** More than there are things to fight for: somebody always waits out a fault, and the others go on. */
const AGENTS_PER_NODE = 7
/** Short, so that leases run out during faults; the rules are the same at any length. */
const TIMINGS: ChaosTimings = { ttlMs: 4000, holdMs: 1000 }
const MARGIN = 0.9
const TELL_EVERY_MS = 5000

export type ChaosOptions = {
  readonly nodes: 3 | 5
  /** At least so many, and until every kind of fault has happened. */
  readonly ops: number
  readonly minutes: number
  readonly seed: number
  /** Keeps history and logs even when nothing is wrong. */
  readonly keep: boolean
}

export type ChaosReport = ChaosOptions & {
  readonly operations: Record<string, Record<string, number>>
  readonly total: number
  readonly acquisitions: number
  readonly certified: number
  readonly provisional: number
  readonly unavailable: number
  readonly unknown: number
  readonly faults: Record<FaultKind, number>
  readonly skipped: readonly FaultKind[]
  readonly tasks: number
  readonly seconds: number
  readonly violations: number
  /** The first of them, in words. */
  readonly found: readonly string[]
  /** Where history and logs are. */
  readonly kept: string | null
}

const FOUND_MAX = 20

/**
 * One run: a fresh mesh, agents and faults at once, then quiet, then the checks.
 * @throws when it is interrupted; by then everything has been ended and removed, but the history
 */
export async function runChaos(
  options: ChaosOptions,
  say: (text: string) => void,
  interrupted: AbortSignal = new AbortController().signal,
): Promise<ChaosReport> {
  const began = performance.now()
  const out = await mkdtemp(join(tmpdir(), 'rookery-chaos-'))
  const history = new HistoryLog(join(out, 'history.jsonl'))
  say(`starting ${options.nodes} nodes (seed ${options.seed})`)
  const cluster = await startCluster(options.nodes, TIMINGS)
  const stage = { cluster, history, say, out }
  const interruption = new Promise<never>((_, reject) => {
    interrupted.addEventListener('abort', () => reject(new Error(`interrupted; the history is in ${out}`)))
  })
  try {
    const result = await Promise.race([workAndCheck(options, stage), interruption])
    return { ...options, ...result, seconds: Math.round((performance.now() - began) / 1000) }
  } finally {
    await cluster.dispose()
  }
}

async function workAndCheck(
  options: ChaosOptions,
  stage: Stage,
): Promise<Omit<ChaosReport, keyof ChaosOptions | 'seconds'>> {
  const { cluster, history, say, out } = stage
  const { faults, created } = await disturbedWork(options, stage)
  say(`${history.entries.length} operations; the faults are over, checking`)
  const found = [
    ...checkHistory(history.entries, { promisedMs: TIMINGS.holdMs * MARGIN }),
    ...(await checkAfterwards(cluster, history.entries, created)),
  ]
  const isKept = options.keep || found.length > 0
  if (isKept) await keepLogs(cluster, out)
  await history.close()
  if (!isKept) await rm(out, { recursive: true })
  return {
    ...countsOf(history.entries),
    faults,
    skipped: FAULTS.filter((kind) => faults[kind] === 0),
    tasks: created.length,
    violations: found.length,
    found: found.slice(0, FOUND_MAX),
    kept: isKept ? out : null,
  }
}

type Stage = {
  readonly cluster: Cluster
  readonly history: HistoryLog
  readonly say: (text: string) => void
  /** Where history and logs go. */
  readonly out: string
}

async function disturbedWork(
  { ops, minutes, seed }: ChaosOptions,
  { cluster, history, say }: Stage,
): Promise<{ faults: Record<FaultKind, number>; created: readonly string[] }> {
  const end = new AbortController()
  const endMs = performance.now() + minutes * 60_000
  const tasks = createHotTasks()
  const nemesis = createNemesis({ cluster, dice: createDice(seed), history, signal: end.signal })
  const takeTurn = (): boolean => (history.entries.length < ops || !nemesis.hasDoneAll()) && performance.now() < endMs
  const agents = cluster.members.flatMap((home, n) =>
    Array.from({ length: AGENTS_PER_NODE }, (_, i) => {
      const dice = createDice(seed * 1000 + n * AGENTS_PER_NODE + i)
      const name = `${home.name}-${i + 1}`
      return runAgent({
        name,
        home,
        members: cluster.members,
        project: cluster.project,
        tasks,
        history,
        dice,
        takeTurn,
      })
    }),
  )
  const telling = setInterval(() => say(`${history.entries.length} of ${ops} operations`), TELL_EVERY_MS)
  const disturbed = nemesis.run()
  try {
    // A node that was killed is back only when the nemesis is done with it: agents wait for that, unless it fails.
    await Promise.race([Promise.all(agents), disturbed])
  } finally {
    end.abort()
    clearInterval(telling)
  }
  await disturbed
  return { faults: nemesis.counts, created: tasks.created() }
}

function countsOf(entries: readonly HistoryEntry[]) {
  const operations: Record<string, Record<string, number>> = {}
  for (const { kind, outcome } of entries) {
    const ofKind = (operations[kind] ??= {})
    ofKind[outcome] = (ofKind[outcome] ?? 0) + 1
  }
  const held = entries.flatMap(({ agent, holds }) => holds.map((hold) => ({ agent, ...hold })))
  const leases = new Set(held.map(({ agent, token, leaves }) => `${agent} ${token} ${leaves.join()}`))
  const with_ = (outcome: string): number => entries.filter((entry) => entry.outcome === outcome).length
  return {
    operations,
    total: entries.length,
    acquisitions: leases.size,
    certified: held.filter(({ isCertified }) => isCertified).length,
    provisional: held.filter(({ isCertified }) => !isCertified).length,
    unavailable: with_('unavailable'),
    unknown: with_('unknown'),
  }
}

async function keepLogs({ members }: Cluster, path: string): Promise<void> {
  for (const member of members) await writeFile(join(path, `${member.name}.log`), member.log())
}

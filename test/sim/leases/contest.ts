import type { Prng } from '../ports/prng.ts'
import type { Process } from './sim-host.ts'
import { hotFile } from './universe.ts'
import type { World } from './world.ts'

const CONTENDERS = 8
const HOLD_MS = { min: 100, max: 1500 }
const PAUSE_MS = 500
const WAIT_MS = 20_000
/** Eight holds in a row, and as long again to find each other. */
const LIMIT_MS = 60_000

/**
 * Fairness: when all is calm and eight want one thing, each gets it, some by trying again and again, some by waiting in
 * their call. How long that takes is counted.
 */
export async function contest(world: World): Promise<void> {
  const { time, counts, violations } = world
  const processes = world.hosts.flatMap(({ process }) => process ?? []).filter(({ host }) => !world.removed.has(host))
  if (processes.length === 0 || !world.hasQuorum) return
  counts.contests += 1
  world.trace?.('eight want one thing')
  const prng = world.prng.fork('contest')
  const waiting = new Set<number>()
  for (let n = 0; n < CONTENDERS; n++) {
    const process = processes[n % processes.length]
    if (!process) continue
    waiting.add(n)
    void contend(world, process, { n, prng: prng.fork(n) }).then(() => waiting.delete(n))
  }
  for (const endMs = time.nowMs + LIMIT_MS; waiting.size > 0 && time.nowMs < endMs;) {
    await time.run(time.nowMs + PAUSE_MS)
  }
  if (waiting.size > 0) violations.add('fairness', `${waiting.size} of ${CONTENDERS} contenders never had their turn`)
}

async function contend(
  { counts, time }: World,
  { leases, clock, host }: Process,
  { n, prng }: { n: number; prng: Prng },
): Promise<void> {
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  const waitMs = n % 2 === 0 ? 0 : WAIT_MS
  const owner = `contender-${n} of ${host.name}`
  const beganMs = time.nowMs
  for (;;) {
    const holdUntilMs = Math.ceil(host.clock.wallMs()) + LIMIT_MS
    counts.contestCalls += 1
    const info = { instanceId: owner, untilMs: holdUntilMs }
    const result = await leases.acquire({ resources: [hotFile(0)], owner, info, holdUntilMs, waitMs })
    if (!result.ok) {
      await sleep(prng.between(0, PAUSE_MS))
      continue
    }
    const waitedMs = Math.round(time.nowMs - beganMs)
    counts.contestTurns += 1
    counts.contestWaitMs += waitedMs
    counts.contestWaitMsMax = Math.max(counts.contestWaitMsMax, waitedMs)
    await sleep(prng.between(HOLD_MS.min, HOLD_MS.max))
    return await leases.release(result.value.leaseId)
  }
}

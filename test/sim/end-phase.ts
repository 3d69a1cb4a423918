import { DRIFT } from './faults.ts'
import { SOUND_DISK } from './ports/sim-disk.ts'
import { NO_FAULTS } from './ports/sim-network.ts'
import type { SimHost } from './sim-host.ts'
import { EVERYTHING } from './universe.ts'
import type { World } from './world.ts'

const RESTART_MS = 30_000
const PROBE_MS = 60_000
const TTLS_TO_WAIT = 3

/** I6: when all faults have stopped nothing is left behind, and every node can acquire everything. */
export async function endWorld(world: World): Promise<void> {
  const { time, violations, plan } = world
  world.trace?.('all faults end')
  world.isEnding = true
  world.healAll()
  world.network.faults = NO_FAULTS
  for (const host of world.hosts) {
    host.disk.faults = SOUND_DISK
    host.resume()
    host.crash(false)
    void host.start()
  }
  await time.run(time.nowMs + RESTART_MS)
  await time.run(time.nowMs + (TTLS_TO_WAIT * plan.timings.ttlMs) / (1 - DRIFT))
  for (const host of world.hosts) {
    if (!host.process) violations.add('I6', `${host.name} did not come up again`)
    else if (host.process.leases.held().length > 0) violations.add('I6', `${host.name} still holds a lease`)
    if (host.promises.liveCount > 0) violations.add('I6', `${host.name} still has a live promise`)
  }
  await probe(world)
}

async function probe(world: World): Promise<void> {
  const intact = world.hosts.filter((host) => world.isVoterIntact(host) && !world.removed.has(host)).length
  for (const host of world.hosts) {
    if (world.removed.has(host)) continue
    if (intact < world.set.quorum) world.counts.probesSkippedQuorumLost += 1
    else await acquireEverything(world, host)
  }
}

async function acquireEverything(world: World, host: SimHost): Promise<void> {
  const { time, violations, counts } = world
  const leases = host.process?.leases
  if (!leases) return
  const holdUntilMs = Math.ceil(host.clock.wallMs()) + PROBE_MS
  const info = { instanceId: 'probe', untilMs: holdUntilMs }
  let outcome = 'no answer'
  void leases
    .acquire({ resources: [EVERYTHING], owner: 'probe', info, holdUntilMs, waitMs: PROBE_MS / 2 })
    .then(async (result) => {
      outcome = result.ok ? 'passed' : result.error.why
      if (result.ok) await leases.release(result.value.leaseId)
    })
  for (const endMs = time.nowMs + PROBE_MS; outcome === 'no answer' && time.nowMs < endMs;) {
    await time.run(time.nowMs + 500)
  }
  if (outcome === 'passed') counts.probesPassed += 1
  else violations.add('I6', `${host.name} cannot acquire everything: ${outcome}`)
}

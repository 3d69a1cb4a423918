import { contest } from './contest.ts'
import { DRIFT } from '../faults.ts'
import { changeVoters, drawVoters } from './reconfigure.ts'
import type { SimHost } from './sim-host.ts'
import { EVERYTHING } from './universe.ts'
import type { World } from './world.ts'

const RESTART_MS = 30_000
const PROBE_MS = 60_000
const CHANGE_MS = 60_000
const TTLS_TO_WAIT = 3
const STEP_MS = 500
/** Voters that take over by force wait for eleven minutes; half as long again is too long. */
const WAIT_MS_MAX = 1_000_000

/**
 * I6: when all faults have stopped nothing is left behind, every voter is in the newest epoch, every node can acquire
 * everything, and the voters can be changed.
 */
export async function endWorld(world: World): Promise<void> {
  const { time, violations, plan } = world
  world.calm()
  for (const host of world.hosts) {
    host.resume()
    host.crash(false)
    void host.start()
  }
  await time.run(time.nowMs + RESTART_MS)
  await until(world, WAIT_MS_MAX, () => world.hosts.every((host) => isSettled(world, host)))
  await time.run(time.nowMs + (TTLS_TO_WAIT * plan.timings.ttlMs) / (1 - DRIFT))
  await until(world, WAIT_MS_MAX, () => world.hosts.every((host) => isSettled(world, host)))
  if (!world.log.isSettled) violations.add('I6', 'the membership log did not reach everybody')
  for (const host of world.hosts) checkHost(world, host)
  await probe(world, world.hosts)
  if (plan.kind === 'contest') await contest(world)
  await changeOnceMore(world)
}

/** Whether its voter waits for nothing: while one does, the others may be unable to complete a change. */
function isSettled(world: World, host: SimHost): boolean {
  if (!host.process || host.process.voter.waitsMs() > 0) return false
  return !isBetweenSets(world, host)
}

/** Of those that the voters could do something about. */
function isBetweenSets(world: World, host: SimHost): boolean {
  const isVoting = world.hasQuorum && world.isVoterIntact(host) && !world.removed.has(host)
  return isVoting && host.process?.voter.sealedEpoch() !== undefined
}

function checkHost(world: World, host: SimHost): void {
  const { violations } = world
  if (!host.process) return violations.add('I6', `${host.name} did not come up again`)
  const { leases } = host.process
  if (leases.held().length > 0) violations.add('I6', `${host.name} still holds a lease`)
  if (host.promises.liveCount > 0 && !host.isFaulty) violations.add('I6', `${host.name} still has a live promise`)
  const { epoch } = world.set
  if (leases.changes.view().epoch !== epoch) violations.add('I6', `${host.name} does not know epoch ${epoch}`)
  // With a machine that was removed nobody talks, also if the voters have named it since.
  if (!world.isVoterIntact(host) || world.removed.has(host)) return
  if (host.promises.epoch !== epoch) {
    violations.add('I6', `the voter of ${host.name} is in epoch ${host.promises.epoch} instead of ${epoch}`)
  }
  if (isBetweenSets(world, host)) {
    violations.add('I6', `the voter of ${host.name} has sealed epoch ${epoch}, and nobody completes it`)
  }
}

async function probe(world: World, hosts: readonly SimHost[]): Promise<void> {
  const { counts } = world
  for (const host of hosts) {
    if (world.removed.has(host)) counts.probesSkippedRemoved += 1
    else if (world.hasQuorum) await acquireEverything(world, host)
    else counts.probesSkippedQuorumLost += 1
  }
}

async function acquireEverything(world: World, host: SimHost): Promise<void> {
  const { violations, counts } = world
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
  await until(world, PROBE_MS, () => outcome !== 'no answer')
  if (outcome === 'passed') counts.probesPassed += 1
  else violations.add('I6', `${host.name} cannot acquire everything: ${outcome}`)
}

/** The founder, who is never removed, makes one more change; whoever votes then, leases go on. */
async function changeOnceMore(world: World): Promise<void> {
  const [founder] = world.hosts
  if (!founder?.process || !world.hasQuorum) return
  let outcome = 'no answer'
  const members = drawVoters(world, world.prng.fork('last change'))
  void changeVoters(world, founder.process, { members }).then((ended) => (outcome = ended))
  await until(world, CHANGE_MS, () => outcome !== 'no answer' && world.log.isSettled)
  // Somebody may just have completed a change that another had begun.
  if (outcome !== 'done' && outcome !== 'superseded') {
    return world.violations.add('I6', `the voters cannot be changed: ${outcome}`)
  }
  world.counts.lastChanges += 1
  await probe(world, [founder])
}

async function until({ time }: World, limitMs: number, isDone: () => boolean): Promise<void> {
  for (const endMs = time.nowMs + limitMs; !isDone() && time.nowMs < endMs;) await time.run(time.nowMs + STEP_MS)
}

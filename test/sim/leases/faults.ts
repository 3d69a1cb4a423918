import { changeRate, cutOneWay, partition, resetChannels, suspend } from '../faults.ts'
import type { Prng } from '../ports/prng.ts'
import type { SimHost } from './sim-host.ts'
import { forceVoters, reconfigure } from './reconfigure.ts'
import type { FaultKind } from './swarm.ts'
import type { World } from './world.ts'

const DOWN_MS = { min: 50, max: 15_000 }
const WALL_STEP_MS_MAX = 50 * 60_000
const REBOOT_RATE = 0.5
/** From the failure of the disk until the process has ended. */
const LAST_WORDS_MS_MAX = 20
/** Share of losses that spare the quorum; the rest may leave a mesh that can never decide again. */
const CAREFUL_RATE = 0.7

function crash(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  if (!host.isUp) return
  const reboot = prng.chance(REBOOT_RATE)
  world.counts.crashes += 1
  if (reboot) world.counts.reboots += 1
  host.crash(reboot)
  restartLater(world, prng, host)
}

/** The process ends as it should, and is started again. */
function restart(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  if (!host.process || host.clock.isSuspended) return
  world.counts.restarts += 1
  void host.stop().then(() => restartLater(world, prng, host))
}

/** The next sync fails, and the process ends of it as the production adapter sees to. */
function breakDisk(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  if (!host.process) return
  host.disk.breakDown(() => {
    world.counts.syncFailures += 1
    world.time.after(prng.between(0, LAST_WORDS_MS_MAX), () => {
      if (!host.isUp) return
      host.crash(false)
      restartLater(world, prng, host)
    })
  })
}

function stepClock(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  world.counts.clockSteps += 1
  // Small steps, which leave leases alive, matter as much as large ones.
  const size = WALL_STEP_MS_MAX * prng.fraction() ** 4
  const stepMs = prng.chance(0.5) ? size : -size
  world.trace?.(`wall clock of ${host.name} steps by ${stepMs.toFixed(0)} ms`)
  host.clock.stepWall(stepMs)
  host.touch()
}

function wipe(world: World, prng: Prng): void {
  const voters = world.hosts.filter((host) => world.isVoterIntact(host))
  if (voters.length === 0) return
  if (voters.length <= world.set.quorum && prng.chance(CAREFUL_RATE)) return
  const host = prng.pick(voters)
  world.counts.diskWipes += 1
  host.wipe()
  restartLater(world, prng, host)
}

/** A copy of the disk is made, or brought back. */
function rollBack(world: World, prng: Prng): void {
  const host = world.faultyHost
  if (!host) return
  if (prng.chance(0.5) || !host.rollBack()) return host.copyDisk()
  world.counts.rollbacks += 1
  restartLater(world, prng, host)
}

function removeMember(world: World, prng: Prng): void {
  const members = world.hosts.filter((host) => !world.removed.has(host))
  const gone = prng.pick(members)
  // Somebody has to be left who may say who votes.
  if (gone === world.hosts[0]) return
  const left = members.filter((host) => host !== gone && world.isVoterIntact(host)).length
  if (world.isVoter(gone) && left < world.set.quorum && prng.chance(CAREFUL_RATE)) return
  world.counts.removals += 1
  world.trace?.(`${gone.name} is removed from the mesh`)
  world.removed.add(gone)
  world.log.write(prng.pick(members), { is: 'removal', peer: gone.peer })
}

function restartLater(world: World, prng: Prng, host: SimHost): void {
  world.time.after(prng.between(DOWN_MS.min, DOWN_MS.max), () => void host.start())
}

export const FAULTS: Readonly<Record<FaultKind, (world: World, prng: Prng) => void>> = {
  crash,
  restart,
  suspend,
  breakDisk,
  stepClock,
  changeRate,
  wipe,
  rollBack,
  partition,
  cutOneWay,
  resetChannels,
  removeMember,
  reconfigure,
  forceVoters,
}

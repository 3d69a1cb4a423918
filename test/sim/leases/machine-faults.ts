import type { Prng } from '../ports/prng.ts'
import type { SimHost } from './sim-host.ts'
import type { World } from './world.ts'

const DOWN_MS = { min: 50, max: 15_000 }
const ASLEEP_MS = { min: 500, max: 60_000 }
const WALL_STEP_MS_MAX = 50 * 60_000
const REBOOT_RATE = 0.5
/** From the failure of the disk until the process has ended. */
const LAST_WORDS_MS_MAX = 20
/** Share of losses that spare the quorum; the rest may leave a mesh that can never decide again. */
export const CAREFUL_RATE = 0.7
/** Of clocks, in both directions. */
export const DRIFT = 0.05

/** The ends of the allowed range are where the margin is tight. */
export const drawRate = (prng: Prng): number =>
  prng.chance(0.5) ? 1 + (prng.chance(0.5) ? DRIFT : -DRIFT) : prng.between(1 - DRIFT, 1 + DRIFT)

export function crash(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  if (!host.isUp) return
  const reboot = prng.chance(REBOOT_RATE)
  world.counts.crashes += 1
  if (reboot) world.counts.reboots += 1
  host.crash(reboot)
  restartLater(world, prng, host)
}

/** The process ends as it should, and is started again. */
export function restart(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  if (!host.process || host.clock.isSuspended) return
  world.counts.restarts += 1
  void host.stop().then(() => restartLater(world, prng, host))
}

export function suspend(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  if (!host.isUp) return
  world.counts.suspends += 1
  host.suspend()
  world.time.after(prng.between(ASLEEP_MS.min, ASLEEP_MS.max), () => host.resume())
}

/** The next sync fails, and the process ends of it as the production adapter sees to. */
export function breakDisk(world: World, prng: Prng): void {
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

export function stepClock(world: World, prng: Prng): void {
  const host = prng.pick(world.hosts)
  world.counts.clockSteps += 1
  // Small steps, which leave leases alive, matter as much as large ones.
  const size = WALL_STEP_MS_MAX * prng.fraction() ** 4
  const stepMs = prng.chance(0.5) ? size : -size
  world.trace?.(`wall clock of ${host.name} steps by ${stepMs.toFixed(0)} ms`)
  host.clock.stepWall(stepMs)
  host.touch()
}

export function changeRate(world: World, prng: Prng): void {
  if (!world.plan.drift) return
  world.counts.rateChanges += 1
  prng.pick(world.hosts).clock.setRate(drawRate(prng))
}

export function wipe(world: World, prng: Prng): void {
  const voters = world.hosts.filter((host) => world.isVoterIntact(host))
  if (voters.length === 0) return
  if (voters.length <= world.set.quorum && prng.chance(CAREFUL_RATE)) return
  const host = prng.pick(voters)
  world.counts.diskWipes += 1
  host.wipe()
  restartLater(world, prng, host)
}

/** A copy of the disk is made, or brought back. */
export function rollBack(world: World, prng: Prng): void {
  const host = world.faultyHost
  if (!host) return
  if (prng.chance(0.5) || !host.rollBack()) return host.copyDisk()
  world.counts.rollbacks += 1
  restartLater(world, prng, host)
}

export function restartLater(world: World, prng: Prng, host: SimHost): void {
  world.time.after(prng.between(DOWN_MS.min, DOWN_MS.max), () => void host.start())
}

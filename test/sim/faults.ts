import type { PeerId } from '../../crdt/ids.ts'
import type { Prng } from './ports/prng.ts'
import type { SimHost } from './sim-host.ts'
import { reconfigure } from './reconfigure.ts'
import type { FaultPauses } from './swarm.ts'
import type { World } from './world.ts'

const DOWN_MS = { min: 50, max: 15_000 }
const ASLEEP_MS = { min: 500, max: 60_000 }
const CUT_MS = { min: 500, max: 30_000 }
const WALL_STEP_MS_MAX = 50 * 60_000
const REBOOT_RATE = 0.5
/** Share of losses that spare the quorum; the rest may leave a mesh that can never decide again. */
const CAREFUL_RATE = 0.7
/** Of clocks, in both directions. */
export const DRIFT = 0.05

type Inject = (world: World, prng: Prng) => void

const INJECT: Readonly<Record<keyof FaultPauses, Inject>> = {
  crash(world, prng) {
    const host = prng.pick(world.hosts)
    if (!host.isUp) return
    const reboot = prng.chance(REBOOT_RATE)
    world.counts.crashes += 1
    if (reboot) world.counts.reboots += 1
    host.crash(reboot)
    restartLater(world, prng, host)
  },
  suspend(world, prng) {
    const host = prng.pick(world.hosts)
    if (!host.isUp) return
    world.counts.suspends += 1
    host.suspend()
    world.time.after(prng.between(ASLEEP_MS.min, ASLEEP_MS.max), () => host.resume())
  },
  partition(world, prng) {
    const side = new Set(world.hosts.filter(() => prng.chance(0.5)))
    const links = world.hosts
      .filter((host) => side.has(host))
      .flatMap((a) => world.hosts.filter((host) => !side.has(host)).flatMap((b) => bothWays(a.peer, b.peer)))
    if (links.length === 0) return
    world.counts.partitions += 1
    world.trace?.(`partition: ${[...side].map(({ name }) => name).join(', ')} apart`)
    cutForAWhile(world, prng, links)
  },
  oneWayCut(world, prng) {
    const [from, to] = [prng.pick(world.hosts), prng.pick(world.hosts)]
    if (from === to) return
    world.counts.oneWayCuts += 1
    world.trace?.(`nothing gets from ${from.name} to ${to.name}`)
    cutForAWhile(world, prng, [[from.peer, to.peer]])
  },
  reset(world, prng) {
    const [a, b] = [prng.pick(world.hosts), prng.pick(world.hosts)]
    if (a === b) return
    world.counts.resets += 1
    world.trace?.(`channels between ${a.name} and ${b.name} are reset`)
    world.network.reset(a.peer, b.peer)
  },
  clockStep(world, prng) {
    const host = prng.pick(world.hosts)
    world.counts.clockSteps += 1
    // Small steps, which leave leases alive, matter as much as large ones.
    const size = WALL_STEP_MS_MAX * prng.fraction() ** 4
    const stepMs = prng.chance(0.5) ? size : -size
    world.trace?.(`wall clock of ${host.name} steps by ${stepMs.toFixed(0)} ms`)
    host.clock.stepWall(stepMs)
    host.touch()
  },
  rateChange(world, prng) {
    if (!world.plan.drift) return
    world.counts.rateChanges += 1
    prng.pick(world.hosts).clock.setRate(drawRate(prng))
  },
  wipe(world, prng) {
    const voters = world.hosts.filter((host) => world.isVoterIntact(host))
    if (voters.length === 0) return
    if (voters.length <= world.set.quorum && prng.chance(CAREFUL_RATE)) return
    const host = prng.pick(voters)
    world.counts.diskWipes += 1
    host.wipe()
    restartLater(world, prng, host)
  },
  removal(world, prng) {
    const members = world.hosts.filter((host) => !world.removed.has(host))
    const gone = prng.pick(members)
    // Somebody has to be left who may say who votes.
    const [founder] = world.hosts
    if (gone === founder) return
    const left = members.filter((host) => host !== gone && world.isVoterIntact(host)).length
    if (world.isVoter(gone) && left < world.set.quorum && prng.chance(CAREFUL_RATE)) return
    world.counts.removals += 1
    world.trace?.(`${gone.name} is removed from the mesh`)
    world.removed.add(gone)
    world.log.write(prng.pick(members), { is: 'removal', peer: gone.peer })
  },
  reconfigure,
}

/** Injects each kind of fault again and again, until the world begins to end. */
export function startFaults(world: World): void {
  for (const [kind, meanMs] of Object.entries(world.plan.faults) as [keyof FaultPauses, number][]) {
    if (meanMs === 0) continue
    const prng = world.prng.fork(`fault ${kind}`)
    const next = (): void => {
      world.time.after(prng.pause(meanMs), () => {
        if (world.isEnding) return
        INJECT[kind](world, prng)
        next()
      })
    }
    next()
  }
}

/** The ends of the allowed range are where the margin is tight. */
export const drawRate = (prng: Prng): number =>
  prng.chance(0.5) ? 1 + (prng.chance(0.5) ? DRIFT : -DRIFT) : prng.between(1 - DRIFT, 1 + DRIFT)

function restartLater(world: World, prng: Prng, host: SimHost): void {
  world.time.after(prng.between(DOWN_MS.min, DOWN_MS.max), () => void host.start())
}

function cutForAWhile(world: World, prng: Prng, links: readonly (readonly [PeerId, PeerId])[]): void {
  const undo = world.cut(links)
  world.time.after(prng.between(CUT_MS.min, CUT_MS.max), undo)
}

const bothWays = (a: PeerId, b: PeerId): [PeerId, PeerId][] => [
  [a, b],
  [b, a],
]

import type { PeerId } from '../../crdt/ids.ts'
import type { Prng } from './ports/prng.ts'
import type { SimWorld } from './sim-world.ts'

/** The shortest sleep or cut. */
const TROUBLE_MS_MIN = 500
/** Of clocks, in both directions. */
export const DRIFT = 0.05

/** Injects each kind of fault again and again, until the world begins to end. */
export function startFaults(world: SimWorld): void {
  for (const [kind, meanMs] of Object.entries(world.plan.faults)) {
    if (meanMs === 0) continue
    const prng = world.prng.fork(`fault ${kind}`)
    const next = (): void => {
      world.time.after(prng.pause(meanMs), () => {
        if (world.isEnding) return
        world.inject(kind, prng)
        next()
      })
    }
    next()
  }
}

export function suspend(world: SimWorld, prng: Prng): void {
  const machine = prng.pick(world.machines)
  if (!machine.isUp) return
  world.counts.suspends += 1
  machine.suspend()
  world.time.after(prng.between(TROUBLE_MS_MIN, world.asleepMsMax), () => machine.resume())
}

export function changeRate(world: SimWorld, prng: Prng): void {
  if (!world.plan.drift) return
  world.counts.rateChanges += 1
  prng.pick(world.machines).clock.setRate(drawRate(prng))
}

/** The ends of the allowed range are where the margin is tight. */
export const drawRate = (prng: Prng): number =>
  prng.chance(0.5) ? 1 + (prng.chance(0.5) ? DRIFT : -DRIFT) : prng.between(1 - DRIFT, 1 + DRIFT)

export function partition(world: SimWorld, prng: Prng): void {
  const side = world.peers.filter(() => prng.chance(0.5))
  const others = world.peers.filter((peer) => !side.includes(peer))
  if (side.length === 0 || others.length === 0) return
  world.counts.partitions += 1
  world.trace?.(`partition: ${side.map((peer) => world.nameOf(peer)).join(', ')} apart`)
  const out = side.flatMap((a) => others.map((b): Link => [a, b]))
  cutForAWhile(world, prng, [...out, ...out.map(([a, b]): Link => [b, a])])
}

export function cutOneWay(world: SimWorld, prng: Prng): void {
  const [from, to] = [prng.pick(world.peers), prng.pick(world.peers)]
  if (from === to) return
  world.counts.oneWayCuts += 1
  world.trace?.(`nothing gets from ${world.nameOf(from)} to ${world.nameOf(to)}`)
  cutForAWhile(world, prng, [[from, to]])
}

export function resetChannels(world: SimWorld, prng: Prng): void {
  const [a, b] = [prng.pick(world.peers), prng.pick(world.peers)]
  if (a === b) return
  world.counts.resets += 1
  world.trace?.(`channels between ${world.nameOf(a)} and ${world.nameOf(b)} are reset`)
  world.network.reset(a, b)
}

type Link = readonly [from: PeerId, to: PeerId]

function cutForAWhile(world: SimWorld, prng: Prng, links: readonly Link[]): void {
  const undo = world.network.cut(links)
  world.time.after(prng.between(TROUBLE_MS_MIN, world.cutMsMax), undo)
}

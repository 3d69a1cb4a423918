import type { PeerId } from '../../../crdt/ids.ts'
import type { Prng } from '../ports/prng.ts'
import type { FaultPauses } from './plan.ts'
import type { SimNode } from './sim-node.ts'
import type { World } from './world.ts'

const ASLEEP_MS = { min: 500, max: 40_000 }
const CUT_MS = { min: 500, max: 20_000 }
const WALL_STEP_MS_MAX = 50 * 60_000
const REBOOT_RATE = 0.5
/** Nodes of one world, those that joined late included. */
const NODES_MAX = 8
/** Honest members that are left when no more may be lost or removed. */
const LEFT_MIN = 2
/** Share of removals in which the other side removes the remover at the same time. */
const MUTUAL_RATE = 0.3

/** Of clocks, in both directions. */
const DRIFT = 0.05

type Inject = (world: World, prng: Prng) => void

const INJECT: Readonly<Record<keyof FaultPauses, Inject>> = {
  crash(world, prng) {
    const node = prng.pick(world.nodes)
    if (!node.isUp) return
    world.counts.crashes += 1
    world.trace?.(`${node.name} dies`)
    node.crash(prng.chance(REBOOT_RATE))
    world.restartLater(node)
  },
  stop(world, prng) {
    const node = prng.pick(world.nodes)
    if (!node.process || node.clock.isSuspended) return
    world.counts.gracefulStops += 1
    world.trace?.(`${node.name} stops`)
    void node.stop().then(() => world.restartLater(node))
  },
  suspend(world, prng) {
    const node = prng.pick(world.nodes)
    if (!node.isUp) return
    world.counts.suspends += 1
    node.suspend()
    world.time.after(prng.between(ASLEEP_MS.min, ASLEEP_MS.max), () => node.resume())
  },
  partition(world, prng) {
    const side = new Set(peersOf(world).filter(() => prng.chance(0.5)))
    const links = [...side].flatMap((a) =>
      peersOf(world)
        .filter((peer) => !side.has(peer))
        .flatMap((b) => [[a, b] as const, [b, a] as const]),
    )
    if (links.length === 0) return
    world.counts.partitions += 1
    world.trace?.(`partition: ${[...side].map((peer) => world.nameOf(peer)).join(', ')} apart`)
    cutForAWhile(world, prng, links)
  },
  oneWayCut(world, prng) {
    const [from, to] = [prng.pick(peersOf(world)), prng.pick(peersOf(world))]
    if (from === to) return
    world.counts.oneWayCuts += 1
    cutForAWhile(world, prng, [[from, to]])
  },
  reset(world, prng) {
    const [a, b] = [prng.pick(peersOf(world)), prng.pick(peersOf(world))]
    if (a === b) return
    world.counts.resets += 1
    world.network.reset(a, b)
  },
  clockStep(world, prng) {
    world.counts.clockSteps += 1
    const size = WALL_STEP_MS_MAX * prng.fraction() ** 4
    prng.pick(world.nodes).clock.stepWall(prng.chance(0.5) ? size : -size)
  },
  rateChange(world, prng) {
    if (!world.plan.drift) return
    world.counts.rateChanges += 1
    prng.pick(world.nodes).clock.setRate(drawRate(prng))
  },
  diskLoss(world, prng) {
    const [founder, ...others] = membersOf(world)
    const victims = others.filter((node) => node.isUp)
    // Without the founder there may be nobody left who can admit and remove.
    if (!founder || others.length < LEFT_MIN || victims.length === 0) return
    const victim = prng.pick(victims)
    world.counts.diskLosses += 1
    world.trace?.(`${victim.name} loses its disk`)
    victim.lose()
    if (world.nodes.length < NODES_MAX) world.admit(world.addNode())
  },
  join(world) {
    if (world.nodes.length >= NODES_MAX) return
    world.counts.lateJoins += 1
    world.admit(world.addNode())
  },
  removal(world, prng) {
    const members = membersOf(world)
    if (members.length <= LEFT_MIN) return
    const admins = members.filter((node) => isAdmin(node) && node.process)
    if (admins.length === 0) return
    const admin = prng.pick(admins)
    // The founder stays: without admins nothing could be settled at the end.
    const victims = [...members.slice(1), ...world.hostile].filter(
      ({ peer }) => peer !== admin.peer && isKnown(admin, peer),
    )
    if (victims.length === 0) return
    const victim = prng.pick(victims)
    world.trace?.(`${admin.name} removes ${world.nameOf(victim.peer)}`)
    world.counts.removals += 1
    world.removals.add(victim.peer)
    void admin.process?.mesh.remove(victim.peer).then((result) => noteRemoval(world, result))
    const avenger = members.find((node) => node.peer === victim.peer)
    if (!avenger?.process || !isAdmin(avenger) || members[0] === admin || !prng.chance(MUTUAL_RATE)) return
    world.counts.mutualRemovals += 1
    world.removals.add(admin.peer)
    void avenger.process.mesh.remove(admin.peer).then((result) => noteRemoval(world, result))
  },
}

function noteRemoval(world: World, result: { ok: boolean; error?: { code: string } }): void {
  if (result.ok || result.error?.code === 'storage_failed' || result.error?.code === 'member_not_found') return
  // By then it is no admin any more.
  if (result.error?.code !== 'forbidden') world.violations.add('M7', `a removal fails: ${result.error?.code}`)
}

/** The ends of the allowed range are where the margins are tight. */
export const drawRate = (prng: Prng): number =>
  prng.chance(0.5) ? 1 + (prng.chance(0.5) ? DRIFT : -DRIFT) : prng.between(1 - DRIFT, 1 + DRIFT)

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

const peersOf = ({ nodes, hostile }: World): PeerId[] => [...nodes, ...hostile].map(({ peer }) => peer)

/** Honest nodes that take themselves for members, oldest first. */
export const membersOf = ({ nodes }: World): SimNode[] =>
  nodes.filter(({ isMember, isLost, process, peer }) => {
    return isMember && !isLost && (process === undefined || process.membership.current().members.has(peer))
  })

const isAdmin = ({ process, peer }: SimNode): boolean =>
  process?.membership.current().members.get(peer)?.capabilities.has('admin') === true

const isKnown = ({ process }: SimNode, peer: PeerId): boolean =>
  process?.membership.current().members.has(peer) === true

function cutForAWhile(world: World, prng: Prng, links: readonly (readonly [PeerId, PeerId])[]): void {
  const undo = world.cut(links)
  world.time.after(prng.between(CUT_MS.min, CUT_MS.max), undo)
}

import type { PeerId } from '../../../crdt/ids.ts'
import { changeRate, cutOneWay, partition, resetChannels, suspend } from '../faults.ts'
import type { Prng } from '../ports/prng.ts'
import type { FaultPauses } from './plan.ts'
import type { SimNode } from './sim-node.ts'
import type { World } from './world.ts'

const WALL_STEP_MS_MAX = 50 * 60_000
const REBOOT_RATE = 0.5
/** Nodes of one world, those that joined late included. */
const NODES_MAX = 8
/** Honest members that are left when no more may be lost or removed. */
const LEFT_MIN = 2
/** Share of removals in which the other side removes the remover at the same time. */
const MUTUAL_RATE = 0.3

export const FAULTS: Readonly<Record<keyof FaultPauses, (world: World, prng: Prng) => void>> = {
  suspend,
  partition,
  oneWayCut: cutOneWay,
  reset: resetChannels,
  rateChange: changeRate,
  crash(world, prng) {
    const node = prng.pick(world.nodes)
    if (!node.isUp) return
    world.counts.crashes += 1
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
  clockStep(world, prng) {
    world.counts.clockSteps += 1
    const size = WALL_STEP_MS_MAX * prng.fraction() ** 4
    prng.pick(world.nodes).clock.stepWall(prng.chance(0.5) ? size : -size)
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

/** Honest nodes that take themselves for members, oldest first. */
export const membersOf = ({ nodes }: World): SimNode[] =>
  nodes.filter(({ isMember, isLost, process, peer }) => {
    return isMember && !isLost && (process === undefined || process.membership.current().members.has(peer))
  })

const isAdmin = ({ process, peer }: SimNode): boolean =>
  process?.membership.current().members.get(peer)?.capabilities.has('admin') === true

const isKnown = ({ process }: SimNode, peer: PeerId): boolean =>
  process?.membership.current().members.has(peer) === true

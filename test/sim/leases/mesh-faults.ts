import type { PeerId } from '../../../crdt/ids.ts'
import { CAREFUL_RATE } from './machine-faults.ts'
import type { Prng } from '../ports/prng.ts'
import type { World } from './world.ts'

const CUT_MS = { min: 500, max: 30_000 }

export function partition(world: World, prng: Prng): void {
  const side = new Set(world.hosts.filter(() => prng.chance(0.5)))
  const links = world.hosts
    .filter((host) => side.has(host))
    .flatMap((a) => world.hosts.filter((host) => !side.has(host)).flatMap((b) => bothWays(a.peer, b.peer)))
  if (links.length === 0) return
  world.counts.partitions += 1
  world.trace?.(`partition: ${[...side].map(({ name }) => name).join(', ')} apart`)
  cutForAWhile(world, prng, links)
}

export function cutOneWay(world: World, prng: Prng): void {
  const [from, to] = [prng.pick(world.hosts), prng.pick(world.hosts)]
  if (from === to) return
  world.counts.oneWayCuts += 1
  world.trace?.(`nothing gets from ${from.name} to ${to.name}`)
  cutForAWhile(world, prng, [[from.peer, to.peer]])
}

export function resetChannels(world: World, prng: Prng): void {
  const [a, b] = [prng.pick(world.hosts), prng.pick(world.hosts)]
  if (a === b) return
  world.counts.resets += 1
  world.trace?.(`channels between ${a.name} and ${b.name} are reset`)
  world.network.reset(a.peer, b.peer)
}

export function removeMember(world: World, prng: Prng): void {
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

function cutForAWhile(world: World, prng: Prng, links: readonly (readonly [PeerId, PeerId])[]): void {
  const undo = world.cut(links)
  world.time.after(prng.between(CUT_MS.min, CUT_MS.max), undo)
}

const bothWays = (a: PeerId, b: PeerId): [PeerId, PeerId][] => [
  [a, b],
  [b, a],
]

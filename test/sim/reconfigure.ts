import type { VoterChange } from '../../node/services/leases/voter-service.ts'
import type { Prng } from './ports/prng.ts'
import type { Process, SimHost } from './sim-host.ts'
import type { World } from './world.ts'

/** As many voters as a simulated mesh has at most. */
const VOTERS_MAX = 5
/** Share of changes that two admins begin at the same time. */
const RIVAL_RATE = 0.3
const RIVAL_MS_MAX = 2000

/** An admin, or two at once, say who votes from now on. */
export function reconfigure(world: World, prng: Prng): void {
  begin(world, prng)
  if (prng.chance(RIVAL_RATE)) world.time.after(prng.between(0, RIVAL_MS_MAX), () => begin(world, prng))
}

function begin(world: World, prng: Prng): void {
  const admins = world.hosts.slice(0, world.plan.admins).filter((host) => host.process && !world.removed.has(host))
  if (admins.length === 0 || world.isEnding) return
  const { process } = prng.pick(admins)
  if (process) void change(world, process, { members: drawVoters(world, prng).map(({ name }) => name) })
}

function drawVoters(world: World, prng: Prng): SimHost[] {
  const left = world.hosts.filter((host) => !world.removed.has(host))
  const count = prng.int(1, Math.min(VOTERS_MAX, left.length))
  const drawn: SimHost[] = []
  while (drawn.length < count) drawn.push(...left.splice(prng.int(0, left.length - 1), 1))
  return drawn
}

/** Asks one node's own service for it. */
export async function change(world: World, { leases, host }: Process, wanted: VoterChange): Promise<string> {
  const { counts } = world
  counts.changesTried += 1
  world.trace?.(`${host.name} wants ${wanted.members.join(', ')} to vote`)
  const changed = await leases.changes.set(wanted)
  const outcome = changed.ok ? 'done' : changed.error.code
  world.trace?.(`${host.name} hears about its change: ${outcome}`)
  if (changed.ok) counts.changesMade += 1
  else if (outcome === 'superseded') counts.changesSuperseded += 1
  else if (outcome === 'quorum_unreachable') counts.changesUnanswered += 1
  else counts.changesRefused += 1
  return outcome
}

import type { VoterChange } from '../../../node/services/leases/voter-service.ts'
import type { Prng } from '../ports/prng.ts'
import type { Process, SimHost } from './sim-host.ts'
import type { World } from './world.ts'

/** As many voters as a simulated mesh has at most. */
const VOTERS_MAX = 5
/** Share of changes that two admins begin at the same time. */
const RIVAL_RATE = 0.3
const RIVAL_MS_MAX = 2000
/** Sets by force in one world: each makes its voters wait for eleven minutes. */
const FORCED_MAX = 2

/** An admin, or two at once, say who votes from now on. */
export function reconfigure(world: World, prng: Prng): void {
  withRival(world, prng, () => begin(world, prng, {}))
}

/** The same, without asking the voters so far. */
export function forceVoters(world: World, prng: Prng): void {
  if (world.counts.setsForced >= FORCED_MAX) return
  withRival(world, prng, () => begin(world, prng, { force: { reason: 'simulated' } }))
}

function withRival(world: World, prng: Prng, begin: () => void): void {
  begin()
  if (prng.chance(RIVAL_RATE)) world.time.after(prng.between(0, RIVAL_MS_MAX), begin)
}

function begin(world: World, prng: Prng, how: Pick<VoterChange, 'force'>): void {
  const admins = world.hosts.slice(0, world.plan.admins).filter((host) => host.process && !world.removed.has(host))
  if (admins.length === 0 || world.isEnding) return
  const { process } = prng.pick(admins)
  if (process) void changeVoters(world, process, { members: drawVoters(world, prng), ...how })
}

export function drawVoters(world: World, prng: Prng): string[] {
  const left: SimHost[] = world.hosts.filter((host) => !world.removed.has(host))
  const count = prng.int(1, Math.min(VOTERS_MAX, left.length))
  const drawn: SimHost[] = []
  while (drawn.length < count) drawn.push(...left.splice(prng.int(0, left.length - 1), 1))
  return drawn.map(({ name }) => name)
}

/** Asks one node's own service for it. Resolves with how it ended. */
export async function changeVoters(world: World, { leases, host }: Process, wanted: VoterChange): Promise<string> {
  const { counts } = world
  counts.changesTried += 1
  host.changesRunning += 1
  world.trace?.(`${host.name} wants ${wanted.members.join(', ')} to vote${wanted.force ? ', by force' : ''}`)
  const changed = await leases.changes.set(wanted)
  host.changesRunning -= 1
  const outcome = changed.ok ? 'done' : changed.error.code
  world.trace?.(`${host.name} hears about its change: ${outcome}`)
  if (changed.ok && wanted.force) counts.setsForced += 1
  else if (changed.ok) counts.changesMade += 1
  else if (outcome === 'superseded') counts.changesSuperseded += 1
  else if (outcome === 'quorum_unreachable') counts.changesUnanswered += 1
  else counts.changesRefused += 1
  return outcome
}

import type { AcquireRequest, HeldLease } from '../../../node/services/leases/lease-service.ts'
import type { Prng } from '../ports/prng.ts'
import type { Operation } from './checkers/history.ts'
import type { Note } from './notebook.ts'
import type { Process } from './sim-host.ts'
import { drawResources, leavesOf, maskOf } from './universe.ts'
import type { World } from './world.ts'

const STALL_MS_MAX = 30_000
/** A write that does not stall still takes this long to arrive. */
const WRITE_MS_MAX = 50
const WRITE_PAUSE_MS = 1500
const WAIT_MS_MAX = 20_000
const PATIENT_RATE = 0.35
/** A dead agent's lease is renewed for this long by the node that outlives it. */
const HOLD_MS = { min: 2000, max: 60_000 }
/** Share of leases on a machine that somebody wants to go on with after a restart, and how soon. */
const RESUME_RATE = 0.8
const RESUME_AFTER_MS_MAX = 3000
/** Share of leases under which the same agent takes a second one: its own never stand in its way. */
const SECOND_LEASE_RATE = 0.1

/**
 * One agent under one node: thinks, takes what it needs, writes under the lease, gives it back or dies. It never ends
 * by itself; when its process does, its next pause never ends.
 */
export async function runAgent(world: World, process: Process, prng: Prng): Promise<void> {
  const { thinkMs, dieRate } = world.plan.agents
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => process.clock.after(ms, resolve))
  for (let life = 0; ; life++) {
    const owner = `agent-${prng.int(0, 0xffff)}-${life}`
    for (let isAlive = true; isAlive;) {
      await sleep(prng.pause(thinkMs))
      if (world.isEnding) return
      const held = await acquire(world, process, { owner, prng })
      if (!held) continue
      process.host.notes.write({ ...held, owner }, () => process.life.isAlive)
      await work(world, process, { ...held, prng, sleep })
      if (prng.chance(SECOND_LEASE_RATE)) {
        const second = await acquire(world, process, { owner, prng })
        if (second) await sleep(prng.pause(WRITE_PAUSE_MS))
        if (second) await giveBack(world, process, { ...second, prng })
      }
      isAlive = !prng.chance(dieRate)
      if (isAlive) await giveBack(world, process, { ...held, prng })
      else world.counts.diedHolding += 1
    }
  }
}

/**
 * Agents that outlived their node go on with what they held, unless they died as well. What another was given meanwhile
 * must not come back.
 */
export function resumeAgents(world: World, process: Process, prng: Prng): void {
  const { notes } = process.host
  for (const note of notes.take())
    if (prng.chance(RESUME_RATE)) void resume(world, process, { note, prng: prng.fork(note.lease.leaseId) })
}

async function resume(world: World, process: Process, { note, prng }: { note: Note; prng: Prng }): Promise<void> {
  const { clock, leases, host, life } = process
  const sleep = (ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve))
  const { lease, operation } = note
  world.counts.restoresTried += 1
  await sleep(prng.between(0, RESUME_AFTER_MS_MAX))
  const isResumed = await leases.resume(
    lease.certificate,
    Math.ceil(clock.wallMs() + prng.between(HOLD_MS.min, HOLD_MS.max)),
  )
  world.trace?.(`${note.owner} of ${host.name} ${isResumed ? 'goes on with' : 'has lost'} ${lease.leaseId.slice(0, 6)}`)
  if (!isResumed) return
  host.notes.write(note, () => life.isAlive)
  await work(world, process, { lease, operation, prng, sleep })
  await giveBack(world, process, { lease, operation, prng })
}

type Held = { readonly lease: HeldLease; readonly operation: Operation }

async function acquire(
  world: World,
  { clock, leases, peer }: Process,
  { owner, prng }: { owner: string; prng: Prng },
): Promise<Held | undefined> {
  const { counts, time, history } = world
  const holdUntilMs = Math.ceil(clock.wallMs() + prng.between(HOLD_MS.min, HOLD_MS.max))
  const request: AcquireRequest = {
    resources: drawResources(prng, world.plan.hotFiles),
    owner,
    info: { instanceId: owner, untilMs: holdUntilMs },
    holdUntilMs,
    waitMs: prng.chance(PATIENT_RATE) ? prng.between(0, WAIT_MS_MAX) : 0,
  }
  const invokedMs = time.nowMs
  counts.acquireCalls += 1
  const result = await leases.acquire(request)
  const what = request.resources.map(({ key }) => key).join(' ')
  const outcome = result.ok ? `gets ${result.value.leaseId.slice(0, 6)}` : `is refused: ${result.error.why}`
  world.trace?.(`${owner} of ${world.nameOf(peer)} asked for ${what} and ${outcome}`)
  if (!result.ok) {
    counts[REFUSED[result.error.why]] += 1
    return undefined
  }
  const lease = result.value
  counts.acquisitions += 1
  if (lease.after.length > 0) counts.lastWritesHandedOn += 1
  const mask = maskOf(lease.resources)
  const times = { invokedMs, answeredMs: time.nowMs, knownUntilMs: time.nowMs }
  return { lease, operation: history.add({ owner: `${peer} ${owner}`, mask, token: lease.fencingToken, ...times }) }
}

const REFUSED = {
  held: 'refusedHeld',
  no_quorum: 'refusedNoQuorum',
  behind: 'refusedBehind',
  limit: 'refusedLimit',
} as const

async function work(
  world: World,
  process: Process,
  { lease, operation, prng, sleep }: Held & { prng: Prng; sleep: (ms: number) => Promise<void> },
): Promise<void> {
  const { workMs, stallRate } = world.plan.agents
  const { leases, clock } = process
  const { leaseId } = lease
  for (let leftMs = prng.pause(workMs); leftMs > 0;) {
    const pauseMs = Math.min(leftMs, prng.pause(WRITE_PAUSE_MS))
    leftMs -= pauseMs
    await sleep(pauseMs)
    if (!leases.find(leaseId)) return
    if (prng.chance(0.1)) leases.extend(leaseId, Math.ceil(clock.wallMs() + prng.between(HOLD_MS.min, HOLD_MS.max)))
    if (!leases.isValid(leaseId)) continue
    operation.knownUntilMs = world.time.nowMs
    const delayMs = prng.chance(stallRate) ? prng.between(0, STALL_MS_MAX) : prng.between(0, WRITE_MS_MAX)
    const { fencingToken: token } = leases.find(leaseId) ?? lease
    world.time.after(delayMs, () => write(world, process, { lease, owner: operation.owner, token, prng }))
  }
}

/** The effect, some time after the check: nothing but the token protects it now. */
function write(
  world: World,
  { life, leases }: Process,
  { lease, owner, token, prng }: { lease: HeldLease; owner: string; token: number; prng: Prng },
): void {
  const isValid = life.isAlive && leases.isValid(lease.leaseId)
  const leaf = prng.pick([...leavesOf(maskOf(lease.resources))])
  world.store.write(1 << leaf, { token, leaseId: lease.leaseId, owner, isValid })
}

async function giveBack(world: World, process: Process, { lease, operation, prng }: Held & { prng: Prng }) {
  const { leases, peer, host, life } = process
  host.notes.strike(lease.leaseId, () => life.isAlive)
  if (leases.isValid(lease.leaseId)) operation.knownUntilMs = world.time.nowMs
  if (leases.find(lease.leaseId)) world.counts.released += 1
  world.trace?.(`${lease.leaseId.slice(0, 6)} is given back`)
  const handsOn = prng.chance(world.plan.agents.lastWriteRate)
  await leases.release(lease.leaseId, handsOn ? world.arrivals.write(peer) : undefined)
}

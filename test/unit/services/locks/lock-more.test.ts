import { afterEach, describe, expect, it } from 'vitest'
import type { FileLock, LockNotice } from '../../../../crdt/lock.ts'
import { overlaps } from '../../../../protocols/lease/resources.ts'
import { lockResource, lockTarget } from '../../../../node/services/locks/lock-target.ts'
import { ClaimLab, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

/** Small schedules, so that overlaps, cuts and ends meet often; each is replayed by its number. */
const SCHEDULES = 3000
const STEPS_MAX = 7
const PATHS = ['a', 'b', 'd/', 'd/x', 'd/*', 'd/x/y']

let lab: ClaimLab | undefined
afterEach(() => lab?.close())

/** xorshift32: small, and the same everywhere. */
function dice(seed: number): (sides: number) => number {
  let state = (seed * 2_654_435_761) >>> 0 || 1
  return (sides) => {
    state ^= state << 13
    state ^= state >>> 17
    state = (state ^ (state << 5)) >>> 0
    return state % sides
  }
}

type Run = {
  readonly lab: ClaimLab
  /** By claim: provisional locks that their caller was told to have, and has not given back itself. */
  readonly given: Map<string, readonly FileLock[]>
  readonly restarted: Set<string>
  /** Also nodes that were restarted since. */
  readonly everyone: LabNode[]
  provisional: number
}

/** One moment: somebody locks, gives back or restarts, or the cuts change. */
async function step(run: Run, roll: (sides: number) => number): Promise<void> {
  const { lab, given } = run
  const n = roll(lab.nodes.length)
  const node = lab.nodes[n]!
  const instanceId = `agent-${n}-${roll(2)}`
  const actor = node.actor(`token of ${instanceId}`)
  const what = roll(10)
  if (what < 5) {
    const paths = [...new Set([0, 1].map(() => PATHS[roll(PATHS.length)]!))]
    const wish = { instanceId, paths, allOrNothing: roll(3) > 0, durationMinutes: 60 }
    const rival = lab.nodes[roll(lab.nodes.length)]!
    const both = [node.locks.bulk(actor, PROJECT, wish)]
    if (roll(2) === 0) both.push(rival.locks.bulk(rival.actor('rival'), PROJECT, { ...wish, instanceId: `rival-${n}` }))
    for (const answer of await passing(lab, Promise.all(both), 250)) {
      for (const lock of answer.ok ? answer.value.acquired : []) {
        if (lock.guarantee === 'certified') continue
        given.set(lock.leaseId, [...(given.get(lock.leaseId) ?? []), lock])
        run.provisional++
      }
    }
  } else if (what < 6) {
    const mine = valueOf(await node.locks.list(PROJECT)).find(
      (lock) => lock.instanceId === instanceId && lock.node === node.peer,
    )
    if (!mine) return
    const released = await passing(lab, node.locks.release(actor, PROJECT, { path: mine.path, instanceId }), 250)
    // One path of several may be given back alone: the rest of the claim stands.
    const rest = given.get(mine.leaseId)?.filter(({ path }) => path !== mine.path) ?? []
    if (released.ok && rest.length > 0) given.set(mine.leaseId, rest)
    else if (released.ok) given.delete(mine.leaseId)
  } else if (what < 7 && n > 0) {
    for (const [claim, locks] of given) if (locks.some((lock) => lock.node === node.peer)) run.restarted.add(claim)
    run.everyone.push(await lab.restart(n))
  } else {
    const sides = 1 + roll(3)
    const groups: LabNode[][] = Array.from({ length: sides }, () => [])
    for (const each of lab.nodes) groups[roll(sides)]!.push(each)
    await lab.split(...groups)
    await lab.pass(1000 * (1 + roll(8)))
  }
  await settle()
}

async function play(seed: number): Promise<Run> {
  const roll = dice(seed)
  const made = await ClaimLab.create({ nodes: 2 + roll(3), voters: 1 })
  const run: Run = { lab: made, given: new Map(), restarted: new Set(), everyone: [...made.nodes], provisional: 0 }
  lab = made
  await made.pass(5000)
  await made.split(...made.nodes.map((node) => [node]))
  for (let i = 0; i < STEPS_MAX; i++) await step(run, roll)
  await made.heal()
  await made.pass(60_000)
  await made.sync()
  return run
}

const keysOf = (path: string) => {
  const target = lockTarget({ key: 'p', caseFold: false }, path)
  if (!target.ok) throw new Error(path)
  return lockResource(target.value)
}
const ownerOf = ({ node, instanceId, tokenId }: FileLock): string => `${node} ${instanceId} ${tokenId}`

function clashes(locks: readonly FileLock[]): string[] {
  return locks.flatMap((a, i) =>
    locks
      .slice(i + 1)
      .filter((b) => ownerOf(a) !== ownerOf(b) && overlaps(keysOf(a.path), keysOf(b.path)))
      .map((b) => `${a.instanceId} ${a.path} / ${b.instanceId} ${b.path}`),
  )
}

/** Two claims that each gave way to the other. */
const mutual = (notices: readonly LockNotice[]): LockNotice[] =>
  notices.filter(({ id, conflict }) =>
    notices.some((other) => other.id === conflict?.leaseId && other.conflict?.leaseId === id),
  )

/** Whether somebody was ever told that this lock, once provisional, had got its certificate. */
const wasCertified = ({ everyone }: Run, lock: FileLock): boolean =>
  everyone.some(({ told }) =>
    told.some(
      (event) =>
        event.type === 'file.locked' &&
        event.lock.guarantee === 'certified' &&
        event.lock.path === lock.path &&
        event.lock.lockedAt === lock.lockedAt &&
        ownerOf(event.lock) === ownerOf(lock),
    ),
  )

describe('[I8] schedules of cuts, locks, releases and restarts', () => {
  const met = { provisional: 0, yields: 0, restarts: 0, certified: 0 }

  it.each(Array.from({ length: SCHEDULES }, (_, i) => i + 1001))('end in agreement (seed %i)', async (seed) => {
    const run = await play(seed)
    const answers = await Promise.all(
      run.lab.nodes.map(async ({ locks }) => ({
        locks: valueOf(await locks.list(PROJECT)),
        notices: valueOf(await locks.notices(PROJECT)),
      })),
    )
    const { locks, notices } = answers[0]!
    for (const answer of answers) expect(answer).toEqual(answers[0])
    expect([clashes(locks), locks.filter(({ guarantee }) => guarantee !== 'certified')]).toEqual([[], []])
    expect(mutual(notices)).toEqual([])
    const told = notices.map(({ id }) => id)
    expect(told).toHaveLength(new Set(told).size)
    for (const [claim, held] of run.given) {
      // Certified in the end (perhaps to be lost with its quorum later, as leases are), or lost with one notice.
      const ends = [held.some((lock) => wasCertified(run, lock)), told.includes(claim)]
      expect([claim, ends.filter(Boolean).length]).toEqual([claim, 1])
    }
    for (const { id, why } of notices) expect([id, why === 'yield' || run.restarted.has(id)]).toEqual([id, true])
    met.provisional += run.provisional
    met.yields += notices.filter(({ why }) => why === 'yield').length
    met.restarts += notices.filter(({ why }) => why === 'owner-restart').length
    met.certified += locks.length
  })

  it('have met what they are about', () => {
    expect(met.provisional).toBeGreaterThan(SCHEDULES)
    for (const count of [met.yields, met.restarts, met.certified]) expect(count).toBeGreaterThan(SCHEDULES / 10)
  })
})

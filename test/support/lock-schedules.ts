import type { PeerId } from '../../crdt/ids.ts'
import type { FileLock, LockNotice } from '../../crdt/lock.ts'
import { overlaps } from '../../protocols/lease/resources.ts'
import { lockResource, lockTarget } from '../../node/services/locks/lock-target.ts'
import { ClaimLab, passing, PROJECT, valueOf, type LabNode } from './claim-lab.ts'
import { settle } from './clock.ts'

/** Small schedules, so that overlaps, cuts and ends meet often; each is replayed by its number. */
const STEPS_MAX = 7
const PATHS = ['a', 'b', 'd/', 'd/x', 'd/*', 'd/x/y']
/** Enough for what a dead process held to end, and for a claim in its way to be asked for once more after that. */
const HEALING_MS_MAX = 150_000
/** Claims are asked for, and give way, within that when nothing dead is in their way. */
const HEALING_MS_MIN = 10_000

/** What one schedule came to. */
export type LockOutcome = {
  /** Rules that did not hold, in words; empty when all is well. */
  readonly faults: readonly string[]
  readonly provisional: number
  readonly yields: number
  readonly restarts: number
  readonly certified: number
}

type Run = {
  readonly lab: ClaimLab
  /** By claim: provisional locks that their caller was told to have, and has not given back itself. */
  readonly given: Map<string, readonly FileLock[]>
  /** Nodes whose process has died at least once. */
  readonly restarted: Set<PeerId>
  /** Also nodes that were restarted since. */
  readonly everyone: LabNode[]
  provisional: number
}

/** Plays the schedule of this number: locks, releases, restarts and cuts by chance, then one whole mesh again. */
export async function playLocks(seed: number): Promise<LockOutcome> {
  const roll = dice(seed)
  const nodes = 2 + roll(3)
  const lab = await ClaimLab.create({ nodes, voters: nodes > 2 && roll(2) === 0 ? 3 : 1 })
  const run: Run = { lab, given: new Map(), restarted: new Set(), everyone: [...lab.nodes], provisional: 0 }
  try {
    await lab.pass(5000)
    await lab.split(...lab.nodes.map((node) => [node]))
    for (let i = 0; i < STEPS_MAX; i++) await step(run, roll)
    await lab.heal()
    for (let ms = 0; ms < HEALING_MS_MAX && (ms === 0 || (await isWaiting(lab))); ms += HEALING_MS_MIN) {
      await lab.pass(HEALING_MS_MIN)
      await lab.sync()
    }
    return await judge(run)
  } finally {
    await lab.close()
  }
}

async function isWaiting({ nodes }: ClaimLab): Promise<boolean> {
  const lists = await Promise.all(nodes.map(async ({ locks }) => valueOf(await locks.list(PROJECT))))
  return lists.flat().some(({ guarantee }) => guarantee === 'provisional')
}

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

type Roll = ReturnType<typeof dice>

/** One moment: somebody locks, gives back or restarts, or the cuts change. */
async function step(run: Run, roll: Roll): Promise<void> {
  const n = roll(run.lab.nodes.length)
  const instanceId = `agent-${n}-${roll(2)}`
  const what = roll(10)
  if (what < 5) await lock(run, roll, { n, instanceId })
  else if (what < 6) await giveBack(run, { n, instanceId })
  else if (what < 7) await restart(run, n)
  else await cut(run, roll)
  await settle()
}

type Who = { readonly n: number; readonly instanceId: string }

async function lock(run: Run, roll: Roll, { n, instanceId }: Who): Promise<void> {
  const { lab } = run
  const node = nodeAt(lab, n)
  const paths = [...new Set([0, 1].map(() => PATHS[roll(PATHS.length)] ?? ''))]
  const wish = { instanceId, paths, allOrNothing: roll(3) > 0, durationMinutes: 60 }
  const rival = nodeAt(lab, roll(lab.nodes.length))
  const both = [node.locks.bulk(tokenOf(node, instanceId), PROJECT, wish)]
  if (roll(2) === 0) both.push(rival.locks.bulk(rival.actor('rival'), PROJECT, { ...wish, instanceId: `rival-${n}` }))
  for (const answer of await passing(lab, Promise.all(both), 250)) {
    for (const taken of answer.ok ? answer.value.acquired : []) {
      if (taken.guarantee === 'certified') continue
      run.given.set(taken.leaseId, [...(run.given.get(taken.leaseId) ?? []), taken])
      run.provisional++
    }
  }
}

async function giveBack({ lab, given }: Run, { n, instanceId }: Who): Promise<void> {
  const node = nodeAt(lab, n)
  const locks = valueOf(await node.locks.list(PROJECT))
  const mine = locks.find((each) => each.instanceId === instanceId && each.node === node.peer)
  if (!mine) return
  const input = { path: mine.path, instanceId }
  const released = await passing(lab, node.locks.release(tokenOf(node, instanceId), PROJECT, input), 250)
  // One path of several may be given back alone: the rest of the claim stands.
  const rest = given.get(mine.leaseId)?.filter(({ path }) => path !== mine.path) ?? []
  if (released.ok && rest.length > 0) given.set(mine.leaseId, rest)
  else if (released.ok) given.delete(mine.leaseId)
}

async function restart({ lab, restarted, everyone }: Run, n: number): Promise<void> {
  restarted.add(nodeAt(lab, n).peer)
  everyone.push(await lab.restart(n))
}

/**
 * Claims are often certified when a cut changes. On a slow disk that takes until it has changed once more, so that others
 * are heard while a certificate is being written.
 */
async function cut({ lab }: Run, roll: Roll): Promise<void> {
  const slow = roll(2) === 0 ? nodeAt(lab, roll(lab.nodes.length)).store : undefined
  slow?.holdFacts()
  await recut(lab, roll)
  if (slow) await recut(lab, roll)
  slow?.release()
}

async function recut(lab: ClaimLab, roll: Roll): Promise<void> {
  const groups: LabNode[][] = Array.from({ length: 1 + roll(3) }, () => [])
  for (const node of lab.nodes) groups[roll(groups.length)]?.push(node)
  await lab.split(...groups)
  await lab.pass(1000 * (1 + roll(8)))
}

function nodeAt(lab: ClaimLab, n: number): LabNode {
  const node = lab.nodes[n]
  if (!node) throw new Error(`no node ${n}`)
  return node
}

const tokenOf = (node: LabNode, instanceId: string) => node.actor(`token of ${instanceId}`)

async function judge(run: Run): Promise<LockOutcome> {
  const answers = await Promise.all(
    run.lab.nodes.map(async ({ locks }) => ({
      locks: valueOf(await locks.list(PROJECT)),
      notices: valueOf(await locks.notices(PROJECT)),
    })),
  )
  const [{ locks, notices } = { locks: [], notices: [] }] = answers
  const told = notices.map(({ id }) => id)
  const faults = [
    ...(new Set(answers.map((answer) => JSON.stringify(answer))).size > 1 ? ['nodes differ'] : []),
    ...clashes(locks),
    ...locks.flatMap((each) => (each.guarantee === 'certified' ? [] : [`still provisional: ${words(each)}`])),
    ...mutual(notices).map(({ id }) => `gave way to each other: ${id}`),
    ...told.filter((id, i) => told.indexOf(id) !== i).map((id) => `told twice: ${id}`),
    ...[...run.given].flatMap(([claim, held]) => endFaults(run, { claim, held, notices })),
    ...notices.flatMap(({ id, why, node }) =>
      why === 'yield' || run.restarted.has(node) ? [] : [`did not restart: ${id}`],
    ),
  ]
  return {
    faults,
    provisional: run.provisional,
    yields: notices.filter(({ why }) => why === 'yield').length,
    restarts: notices.filter(({ why }) => why === 'owner-restart').length,
    certified: locks.length,
  }
}

const ownerOf = ({ node, instanceId, tokenId }: FileLock): string => `${node} ${instanceId} ${tokenId}`
const words = ({ instanceId, path, leaseId }: FileLock): string => `${instanceId} ${path} ${leaseId}`

function clashes(locks: readonly FileLock[]): string[] {
  return locks.flatMap((a, i) =>
    locks
      .slice(i + 1)
      .filter((b) => ownerOf(a) !== ownerOf(b) && overlaps(resourceOf(a.path), resourceOf(b.path)))
      .map((b) => `two holders: ${words(a)} / ${words(b)}`),
  )
}

function resourceOf(path: string) {
  const target = lockTarget({ key: 'p', caseFold: false }, path)
  if (!target.ok) throw new Error(path)
  return lockResource(target.value)
}

/** Claims that each gave way to the other. */
const mutual = (notices: readonly LockNotice[]): LockNotice[] =>
  notices.filter(({ id, conflict }) =>
    notices.some((other) => other.id === conflict?.leaseId && other.conflict?.leaseId === id),
  )

/**
 * Certified in the end (perhaps to be lost later, as leases are), or lost with one notice. One that gave way was never
 * certified; one that was may be lost with its node, and then there is a notice of that.
 */
function endFaults(
  run: Run,
  { claim, held, notices }: { claim: string; held: readonly FileLock[]; notices: readonly LockNotice[] },
): string[] {
  const isCertified = held.some((each) => wasCertified(run, each))
  const why = notices.find(({ id }) => id === claim)?.why
  const what = held.map(words).join(', ')
  if (isCertified) return why === 'yield' || wasToldLost(run, claim) ? [`gave way with a certificate: ${what}`] : []
  return why === undefined ? [`neither certified nor lost: ${what}`] : []
}

/** Whether somebody was ever told that this claim gave way; what is told is not taken back. */
const wasToldLost = ({ everyone }: Run, claim: string): boolean =>
  everyone.some(({ told }) => told.some((event) => event.type === 'file.conflict' && event.notice.id === claim))

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

import { setTimeout as sleep } from 'node:timers/promises'
import { fillDisk, type ChaosMember, type Cluster } from './cluster.ts'
import type { Dice } from './dice.ts'
import type { HistoryLog } from './history.ts'
import type { Link } from './link-proxy.ts'

export const FAULTS = ['kill', 'stall', 'disk_full', 'cut', 'one_way', 'isolate', 'slow'] as const
export type FaultKind = (typeof FAULTS)[number]

/** How much goes wrong at a time: with two, the quorum is gone now and then. */
const AT_ONCE = 2
const PAUSE_MS = [300, 2500] as const
/** Longer than a lease, or much shorter. */
const LASTS_MS = [200, 6000] as const
const SLOW_MS = [30, 600] as const

type Undo = () => Promise<void> | void
type Fault = { readonly what: string; readonly touches: readonly string[]; readonly undo: Undo }

export type NemesisDeps = {
  readonly cluster: Cluster
  readonly dice: Dice
  readonly history: HistoryLog
  readonly say: (text: string) => void
  /** No fault begins after that; those under way are still undone. */
  readonly signal: AbortSignal
}

/** Makes things go wrong, every kind in turn, until it is stopped; then puts everything right. */
export async function runNemesis(deps: NemesisDeps): Promise<Record<FaultKind, number>> {
  const counts = Object.fromEntries(FAULTS.map((kind) => [kind, 0])) as Record<FaultKind, number>
  const busy = new Set<string>()
  let queue: FaultKind[] = []
  const worker = async (): Promise<void> => {
    while (!deps.signal.aborted) {
      await rest(deps)
      if (queue.length === 0) queue = deps.dice.shuffled(FAULTS)
      const kind = queue.shift()
      if (kind === undefined || deps.signal.aborted) continue
      const fault = await begin(deps, kind, busy)
      if (!fault) continue
      counts[kind] += 1
      for (const name of fault.touches) busy.add(name)
      deps.history.remark(`begin ${fault.what}`)
      await pause(deps, LASTS_MS)
      await fault.undo()
      deps.history.remark(`end ${fault.what}`)
      for (const name of fault.touches) busy.delete(name)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  return counts
}

const rest = (deps: NemesisDeps): Promise<void> => pause(deps, PAUSE_MS)

async function pause({ dice, signal }: NemesisDeps, [min, max]: readonly [number, number]): Promise<void> {
  await sleep(dice.between(min, max), undefined, { signal }).catch(() => undefined) // stopped: go on at once
}

/** Undefined when nothing is left that this could happen to. */
async function begin(deps: NemesisDeps, kind: FaultKind, busy: ReadonlySet<string>): Promise<Fault | undefined> {
  const { cluster, dice } = deps
  const free = cluster.members.filter(({ name }) => !busy.has(name))
  if (kind === 'cut' || kind === 'one_way' || kind === 'slow' || kind === 'isolate') return onLinks(deps, kind, free)
  const fit = kind === 'disk_full' ? free.filter(({ hasOwnDisk }) => hasOwnDisk) : free
  if (fit.length === 0) return undefined
  const member = dice.pick(fit)
  const touches = [member.name]
  const what = `${kind} ${member.name}`
  if (kind === 'disk_full') return { what, touches, undo: fillUp(member) }
  if (kind === 'kill') {
    await member.kill()
    return { what, touches, undo: () => member.restart() }
  }
  member.node().process.kill('SIGSTOP')
  return { what, touches, undo: () => void member.node().process.kill('SIGCONT') }
}

/** A node that its full disk has ended is started again. */
function fillUp(member: ChaosMember): Undo {
  const makeRoom = fillDisk(member)
  return async () => {
    makeRoom()
    const { exitCode, signalCode } = member.node().process
    if (exitCode === null && signalCode === null) return
    await member.kill()
    await member.restart()
  }
}

/** Faults of links do not meet at one node, so that each is undone by itself. */
function onLinks(
  { cluster: { proxy, members }, dice }: NemesisDeps,
  kind: FaultKind,
  free: readonly ChaosMember[],
): Fault | undefined {
  const [one, other] = dice.shuffled(free).map(({ name }) => name)
  if (one === undefined || other === undefined) return undefined
  const others = kind === 'isolate' ? members.map(({ name }) => name).filter((name) => name !== one) : [other]
  const links = others.flatMap((to): Link[] => {
    const there = { from: one, to }
    return kind === 'one_way' ? [there] : [there, { from: to, to: one }]
  })
  const delayMs = dice.between(...SLOW_MS)
  const state = kind === 'slow' ? ({ is: 'slow', delayMs } as const) : ({ is: 'held' } as const)
  for (const link of links) proxy.set(link, state)
  // Sometimes what was under way is lost and all have to connect anew, sometimes it only arrives late.
  const isReset = kind !== 'slow' && dice.chance(0.5)
  return {
    what: `${kind} ${one} ${kind === 'isolate' ? '' : other}${isReset ? ' with a reset' : ''}`,
    touches: kind === 'isolate' ? [one] : [one, other],
    undo() {
      if (isReset) for (const to of others) proxy.reset(one, to)
      for (const link of links) proxy.set(link, { is: 'open' })
    },
  }
}

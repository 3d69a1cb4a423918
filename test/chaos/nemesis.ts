import { setTimeout as sleep } from 'node:timers/promises'
import { fillDisk, makeRoom, type ChaosMember, type Cluster } from './cluster.ts'
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

type Step = () => Promise<void> | void
type Fault = { readonly what: string; readonly touches: readonly string[]; readonly begin: Step; readonly end: Step }

export type NemesisDeps = {
  readonly cluster: Cluster
  readonly dice: Dice
  readonly history: HistoryLog
  /** No fault begins after that; those under way are still undone. */
  readonly signal: AbortSignal
}

export type Nemesis = {
  readonly counts: Readonly<Record<FaultKind, number>>
  /** Whether everything that can go wrong here has gone wrong at least once. */
  hasDoneAll(): boolean
  /** Makes things go wrong, every kind in turn, until it is stopped; then puts everything right. */
  run(): Promise<void>
}

export function createNemesis(deps: NemesisDeps): Nemesis {
  const possible = FAULTS.filter((kind) => kind !== 'disk_full' || deps.cluster.members.some((m) => m.hasOwnDisk))
  const counts = Object.fromEntries(FAULTS.map((kind) => [kind, 0])) as Record<FaultKind, number>
  const busy = new Set<string>()
  let queue: FaultKind[] = []
  const worker = async (): Promise<void> => {
    while (!deps.signal.aborted) {
      await pause(deps, PAUSE_MS)
      if (queue.length === 0) queue = deps.dice.shuffled(possible)
      const kind = queue.shift()
      if (kind === undefined || deps.signal.aborted) continue
      const fault = choose(deps, kind, busy)
      if (!fault) continue
      counts[kind] += 1
      await suffer(deps, fault, busy)
    }
  }
  return {
    counts,
    hasDoneAll: () => possible.every((kind) => counts[kind] > 0),
    run: async () => void (await Promise.all(Array.from({ length: AT_ONCE }, worker))),
  }
}

async function suffer(deps: NemesisDeps, { what, touches, begin, end }: Fault, busy: Set<string>): Promise<void> {
  for (const name of touches) busy.add(name)
  deps.history.remark(`begin ${what}`)
  await begin()
  await pause(deps, LASTS_MS)
  await end()
  deps.history.remark(`end ${what}`)
  for (const name of touches) busy.delete(name)
}

async function pause({ dice, signal }: NemesisDeps, [min, max]: readonly [number, number]): Promise<void> {
  await sleep(dice.between(min, max), undefined, { signal }).catch(() => undefined) // stopped: go on at once
}

/** Undefined when nothing is left that this could happen to. */
function choose(deps: NemesisDeps, kind: FaultKind, busy: ReadonlySet<string>): Fault | undefined {
  const { members } = deps.cluster
  const free = members.filter(({ name }) => !busy.has(name))
  if (kind === 'cut' || kind === 'one_way' || kind === 'slow' || kind === 'isolate') return onLinks(deps, kind, free)
  const fit = kind === 'disk_full' ? free.filter(({ hasOwnDisk }) => hasOwnDisk) : free
  if (fit.length === 0) return undefined
  const member = deps.dice.pick(fit)
  return { what: `${kind} ${member.name}`, touches: [member.name], ...onProcess(kind, member) }
}

function onProcess(kind: 'kill' | 'stall' | 'disk_full', member: ChaosMember): Pick<Fault, 'begin' | 'end'> {
  if (kind === 'kill') return { begin: () => member.kill(), end: () => member.restart() }
  if (kind === 'disk_full') return fullDisk(member)
  const send = (signal: NodeJS.Signals): void => void member.node().process.kill(signal)
  return { begin: () => send('SIGSTOP'), end: () => send('SIGCONT') }
}

/** A node that its full disk has ended is started again. */
function fullDisk(member: ChaosMember): Pick<Fault, 'begin' | 'end'> {
  return {
    begin: () => fillDisk(member),
    async end() {
      makeRoom(member)
      const { exitCode, signalCode } = member.node().process
      if (exitCode === null && signalCode === null) return
      await member.kill()
      await member.restart()
    },
  }
}

type LinkFault = 'cut' | 'one_way' | 'isolate' | 'slow'

/** Faults of links do not meet at one node, so that each is undone by itself. */
function onLinks(deps: NemesisDeps, kind: LinkFault, free: readonly ChaosMember[]): Fault | undefined {
  const { cluster, dice } = deps
  const { proxy, members } = cluster
  const [one, other] = dice.shuffled(free).map(({ name }) => name)
  if (one === undefined || other === undefined) return undefined
  const others = kind === 'isolate' ? members.map(({ name }) => name).filter((name) => name !== one) : [other]
  const links = others.flatMap((to): Link[] => {
    const there = { from: one, to }
    return kind === 'one_way' ? [there] : [there, { from: to, to: one }]
  })
  const delayMs = dice.between(...SLOW_MS)
  const state = kind === 'slow' ? ({ is: 'slow', delayMs } as const) : ({ is: 'held' } as const)
  // Sometimes what was under way is lost and all have to connect anew, sometimes it only arrives late.
  const isReset = kind !== 'slow' && dice.chance(0.5)
  return {
    what: `${kind} ${one}${kind === 'isolate' ? '' : ` ${other}`}${isReset ? ' with a reset' : ''}`,
    touches: kind === 'isolate' ? [one] : [one, other],
    begin: () => links.forEach((link) => proxy.set(link, state)),
    end() {
      if (isReset) for (const to of others) proxy.reset(one, to)
      for (const link of links) proxy.set(link, { is: 'open' })
    },
  }
}

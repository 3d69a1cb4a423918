import { setTimeout as sleep } from 'node:timers/promises'
import type { Benchmark, Context, Measurement } from './benchmark.ts'
import { startEtcd, startRedis, type ClaimPeer } from './claim-peers.ts'
import { letAllVote, startMesh, type Member } from './mesh-lab.ts'
import { median, quantile, ratePerSecond, timeEach } from './statistics.ts'

const IN_FLIGHT = 32
const CONTENDERS = 8
const BURST = { oneByOne: 100, inFlight: 640 }
const CONTENTION_MS = 1000
/** By then what is told about the releases of a burst has been told twice and does not meet what comes next. */
const REST_MS = 1300
/** Who has no way to wait for a key asks again after so long. */
const ASK_AGAIN_MS = 1

/**
 * Taking a lease and giving it back, on a node that votes itself: with three voters and with five, each of which has
 * the promise on disk before it answers.
 */
export const leases: Benchmark = async (context) => {
  const rivals = {
    'etcd, fsynced': contestant(await startEtcd(context)),
    'redis, no fsync': contestant(await startRedis(context, 'default')),
    'redis, appendfsync always': contestant(await startRedis(context, 'always')),
  }
  const measurements: Measurement[] = []
  for (const size of [3, 5] as const) {
    const { members } = await startMesh(context, size)
    await letAllVote(members)
    const figures = await inTurns(context, { rookery: meshContestant(members), ...rivals })
    measurements.push(...rowsOf(`${(size + 1) / 2} of ${size}`, figures, size === 3))
    await Promise.all(members.map((member) => member.stop()))
  }
  return measurements
}

/** Somebody who takes leases and gives them back. */
type Contestant = {
  /** Microseconds of taking a free one, one after the other. */
  readonly each: (count: number) => Promise<number[]>
  /** Taken and given back per second, with so many under way at any time. */
  readonly rate: (count: number) => Promise<number>
  /** The same with so many contenders for a single one. */
  readonly contention: () => Promise<number>
  readonly rest: () => Promise<void>
}
type Figures = { readonly durations: number[]; readonly rates: number[]; readonly contention: number[] }
type Name = 'rookery' | 'etcd, fsynced' | 'redis, no fsync' | 'redis, appendfsync always'

/** All of them in every round, so that what else the machine does meets all; the first round warms up. */
async function inTurns(
  { quick }: Context,
  contestants: Readonly<Record<Name, Contestant | undefined>>,
): Promise<Partial<Record<Name, Figures>>> {
  const figures: Partial<Record<Name, Figures>> = {}
  for (let round = 0; round <= (quick ? 2 : 6); round++) {
    for (const [name, one] of Object.entries(contestants) as [Name, Contestant | undefined][]) {
      if (!one) continue
      const durations = await one.each(BURST.oneByOne)
      await one.rest()
      const rate = await one.rate(BURST.inFlight)
      await one.rest()
      const contention = await one.contention()
      await one.rest()
      if (round === 0) continue
      const of = (figures[name] ??= { durations: [], rates: [], contention: [] })
      of.durations.push(...durations)
      of.rates.push(rate)
      of.contention.push(contention)
    }
  }
  return figures
}

function meshContestant(members: readonly [Member, Member, ...Member[]]): Contestant {
  const [, holder] = members
  let contests = 0
  return {
    each: (count) => holder.call('leaseEach', count),
    rate: (count) => holder.call('leaseRate', { count, inFlight: IN_FLIGHT }),
    async contention() {
      const key = `contest-${contests++}`
      const won = await Promise.all(
        members.map((member, i) => {
          const contenders = Math.ceil((CONTENDERS - i) / members.length)
          return member.call('contend', { key, contenders, forMs: CONTENTION_MS })
        }),
      )
      return (won.reduce((a, b) => a + b) / CONTENTION_MS) * 1000
    },
    rest: async () => await sleep(REST_MS),
  }
}

function contestant(peer: ClaimPeer | undefined): Contestant | undefined {
  if (!peer) return undefined
  let next = 0
  const take = async (key: string): Promise<void> => {
    if (!(await peer.claim(key))) throw new Error('a free key was refused')
  }
  const giveBack = async (key: string): Promise<void> => {
    if (!(await peer.release(key))) throw new Error('a key could not be given back')
  }
  return {
    each: (count) => timeEach(count, () => take(`bench-${next++}`)),
    rate: (count) =>
      ratePerSecond(count, IN_FLIGHT, async () => {
        const key = `bench-${next++}`
        await take(key)
        await giveBack(key)
      }),
    async contention() {
      const key = `contest-${next++}`
      const end = performance.now() + CONTENTION_MS
      let won = 0
      const contend = async (): Promise<void> => {
        while (performance.now() < end) {
          if (!(await peer.claim(key))) {
            await sleep(ASK_AGAIN_MS)
            continue
          }
          won += 1
          await giveBack(key)
        }
      }
      await Promise.all(Array.from({ length: CONTENDERS }, contend))
      return (won / CONTENTION_MS) * 1000
    },
    rest: async () => undefined,
  }
}

/** Goals are set for three voters. */
function rowsOf(quorum: string, figures: Partial<Record<Name, Figures>>, hasGoals: boolean): Measurement[] {
  const { rookery } = figures
  if (!rookery) throw new Error('nothing was measured')
  const row = (given: {
    what: string
    unit: Measurement['unit']
    of: (figures: Figures) => number
    goals?: Partial<Record<Name, Measurement['goal']>>
  }): Measurement[] => {
    const { what, unit, of, goals = {} } = given
    const peers = (Object.entries(figures) as [Name, Figures][]).filter(([name]) => name !== 'rookery')
    const own = { what: `${what}, quorum ${quorum}`, unit, rookery: of(rookery) }
    if (peers.length === 0) return [own]
    return peers.map(([name, peer]) => {
      const goal = hasGoals ? goals[name] : undefined
      return { ...own, peer: { name, value: of(peer) }, ...(goal && { goal }) }
    })
  }
  return [
    ...row({
      what: 'lease, p50',
      unit: 'µs',
      of: ({ durations }) => quantile(durations, 0.5),
      goals: { 'etcd, fsynced': { most: 2 } },
    }),
    ...row({ what: 'lease, p99', unit: 'µs', of: ({ durations }) => quantile(durations, 0.99) }),
    ...row({
      what: `lease and release, ${IN_FLIGHT} in flight`,
      unit: 'per s',
      of: ({ rates }) => median(rates),
      goals: { 'etcd, fsynced': { least: 4 }, 'redis, no fsync': { least: 0.25 } },
    }),
    ...row({
      what: `lease and release, ${CONTENDERS} contenders for one`,
      unit: 'per s',
      of: ({ contention }) => median(contention),
    }),
  ]
}

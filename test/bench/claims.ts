import { setTimeout as sleep } from 'node:timers/promises'
import type { Benchmark, Context, Measurement } from './benchmark.ts'
import { startEtcd, startRedis, type ClaimPeer } from './claim-peers.ts'
import { startMesh, type Member } from './mesh-lab.ts'
import { startHttpMesh, type HttpMesh } from './http-mesh.ts'
import { median, quantile, ratePerSecond, timeEach } from './statistics.ts'

const IN_FLIGHT = 32
/** So many are over before the first of them is renewed: the peers renew nothing. */
const BURST = { oneByOne: 100, inFlight: 320 }
/** By then what is told about the releases of a burst has been told twice and does not meet the next burst. */
const REST_MS = 1300
const OURS = 'one voter, fsynced'

/**
 * Taking a free lease from the node that is not the voter: as the services see it, and as a client of the HTTP API
 * does, whose claim also becomes a signed, durable entry of the task's document. The goals are meant for three voters.
 */
export const claims: Benchmark = async (context) => {
  const etcd = await startEtcd(context)
  const redis = await startRedis(context)
  const { members } = await startMesh(context, 2)
  const [voter, holder] = members
  const rounds = context.quick ? 2 : 8
  const [own, ofEtcd, ofRedis] = await inTurns(rounds, [
    memberClaimant(holder),
    etcd && peerClaimant(etcd),
    redis && peerClaimant(redis),
  ])
  await Promise.all([voter.stop(), holder.stop()])
  if (!own) throw new Error('nothing was measured')
  const http = await ofHttp(context)

  const against = (name: string, value: number | undefined) => (value === undefined ? {} : { peer: { name, value } })
  return [
    {
      what: `lease from another node, p50 (${OURS})`,
      unit: 'µs',
      rookery: quantile(own.durations, 0.5),
      ...against('etcd', ofEtcd && quantile(ofEtcd.durations, 0.5)),
      ...(ofEtcd && { goal: { most: 2 } }),
    },
    {
      what: 'the same, p99',
      unit: 'µs',
      rookery: quantile(own.durations, 0.99),
      ...against('etcd', ofEtcd && quantile(ofEtcd.durations, 0.99)),
    },
    {
      what: `leases, ${IN_FLIGHT} in flight (${OURS})`,
      unit: 'per s',
      rookery: median(own.rates),
      ...against('etcd', ofEtcd && median(ofEtcd.rates)),
      ...(ofEtcd && { goal: { least: 4 } }),
    },
    ...(ofRedis
      ? [
          {
            what: 'the same',
            unit: 'per s',
            rookery: median(own.rates),
            ...against('redis, no fsync', median(ofRedis.rates)),
            goal: { least: 0.25 },
          } as const,
        ]
      : []),
    ...http,
  ]
}

/** Somebody who claims, each time something else that is free. */
type Claimant = {
  readonly each: (count: number) => Promise<number[]>
  readonly rate: (count: number) => Promise<number>
  readonly giveBack: () => Promise<void>
}
type Figures = { readonly durations: number[]; readonly rates: number[] }

/** All of them in every round, so that what else the machine does meets all; the first round warms up. */
async function inTurns(rounds: number, claimants: readonly (Claimant | undefined)[]): Promise<(Figures | undefined)[]> {
  const figures = claimants.map((claimant): Figures | undefined => claimant && { durations: [], rates: [] })
  for (let round = 0; round <= rounds; round++) {
    for (const [index, claimant] of claimants.entries()) {
      if (!claimant) continue
      const durations = await claimant.each(BURST.oneByOne)
      await claimant.giveBack()
      const rate = await claimant.rate(BURST.inFlight)
      await claimant.giveBack()
      if (round === 0) continue
      figures[index]?.durations.push(...durations)
      figures[index]?.rates.push(rate)
    }
  }
  return figures
}

const memberClaimant = (member: Member): Claimant => ({
  each: (count) => member.call('claimEach', count),
  rate: (count) => member.call('claimRate', { count, inFlight: IN_FLIGHT }),
  async giveBack() {
    await member.call('releaseAll')
    await sleep(REST_MS)
  },
})

function peerClaimant(peer: ClaimPeer): Claimant {
  let next = 0
  const claim = async (): Promise<void> => {
    if (!(await peer.claim(`bench-${next++}`))) throw new Error('a free key was refused')
  }
  return {
    each: (count) => timeEach(count, claim),
    rate: (count) => ratePerSecond(count, IN_FLIGHT, claim),
    giveBack: async () => undefined,
  }
}

async function ofHttp(context: Context): Promise<Measurement[]> {
  const mesh = await startHttpMesh(context)
  const [warmUp, each, inFlight] = context.quick ? [30, 60, 150] : [100, 300, 600]
  const tasks = await mesh.addTasks(warmUp + each + inFlight)
  const claim = (task: string | undefined) => claimOverHttp(mesh, task ?? '')
  await ratePerSecond(warmUp, IN_FLIGHT, () => claim(tasks.pop()))
  const durations = await timeEach(each, () => claim(tasks.pop()))
  const rate = await ratePerSecond(inFlight, IN_FLIGHT, () => claim(tasks.pop()))
  return [
    { what: 'POST …/claim on another node, p50', unit: 'µs', rookery: quantile(durations, 0.5) },
    { what: 'the same, p99', unit: 'µs', rookery: quantile(durations, 0.99) },
    { what: `the same, ${IN_FLIGHT} in flight`, unit: 'per s', rookery: rate },
  ]
}

async function claimOverHttp({ onB }: HttpMesh, task: string): Promise<void> {
  const { status, body } = await onB.post(`/api/tasks/${task}/claim`, { instance_id: 'bench-1' })
  if (status !== 200) throw new Error(`a claim was answered with ${status}: ${JSON.stringify(body)}`)
}

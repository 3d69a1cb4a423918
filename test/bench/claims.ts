import type { Benchmark, Context, Measurement } from './benchmark.ts'
import { startEtcd, startRedis, type ClaimPeer } from './claim-peers.ts'
import { startMesh, type Member } from './mesh-lab.ts'
import { startHttpMesh, type HttpMesh } from './http-mesh.ts'
import { medianOfRounds, quantile, ratePerSecond, timeEach } from './statistics.ts'

const IN_FLIGHT = 32
/** Below what one node may hold at once. */
const HELD_MAX = 1000
const OURS = 'one voter, fsynced'

/**
 * Taking a free lease from the node that is not the voter: as the services see it, and as a client of the HTTP API
 * does, whose claim also becomes a signed, durable entry of the task's document.
 */
export const claims: Benchmark = async (context) => {
  const etcd = await startEtcd(context)
  const redis = await startRedis(context)
  const samples = context.quick ? 300 : HELD_MAX
  const rounds = context.quick ? 2 : 5

  const { members } = await startMesh(context, 2)
  const [voter, holder] = members
  const own = await ofMember(holder, { samples, rounds })
  await Promise.all([voter.stop(), holder.stop()])
  const ofEtcd = etcd && (await ofPeer(etcd, { samples, rounds }))
  const ofRedis = redis && (await ofPeer(redis, { samples, rounds }))
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
      rookery: own.rate,
      ...against('etcd', ofEtcd?.rate),
      ...(ofEtcd && { goal: { least: 4 } }),
    },
    {
      what: 'the same',
      unit: 'per s',
      rookery: own.rate,
      ...against('redis, no fsync', ofRedis?.rate),
      ...(ofRedis && { goal: { least: 0.25 } }),
    },
    ...http,
  ]
}

type Effort = { readonly samples: number; readonly rounds: number }
type Figures = { readonly durations: readonly number[]; readonly rate: number }

async function ofMember(member: Member, { samples, rounds }: Effort): Promise<Figures> {
  const count = HELD_MAX
  const releaseAll = async (): Promise<void> => await member.call('releaseAll')
  await member.call('claimRate', { count, inFlight: IN_FLIGHT }) // warms up
  await releaseAll()
  const durations = await member.call('claimEach', samples)
  await releaseAll()
  const rate = await medianOfRounds(rounds, async () => {
    const perSecond = await member.call('claimRate', { count, inFlight: IN_FLIGHT })
    await releaseAll()
    return perSecond
  })
  return { durations, rate }
}

async function ofPeer(peer: ClaimPeer, { samples, rounds }: Effort): Promise<Figures> {
  let next = 0
  const claim = async (): Promise<void> => {
    if (!(await peer.claim(`bench-${next++}`))) throw new Error('a free key was refused')
  }
  await ratePerSecond(HELD_MAX, IN_FLIGHT, claim) // warms up
  const durations = await timeEach(samples, claim)
  const rate = await medianOfRounds(rounds, () => ratePerSecond(HELD_MAX, IN_FLIGHT, claim))
  return { durations, rate }
}

async function ofHttp(context: Context): Promise<Measurement[]> {
  const mesh = await startHttpMesh(context)
  const [warmUp, each, inFlight] = context.quick ? [50, 150, 300] : [100, 400, 600]
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

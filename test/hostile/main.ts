import { parseArgs } from 'node:util'
import { ATTACKS, CONVICTIONS } from './attacks.ts'
import { createSiege, p99 } from './siege.ts'

/*
 * A member that does everything the abuse cases name to two honest nodes while people work on them, one attack after the
 * other. Prints for each what it did to the latency and the memory of the nodes, and what they say of the member.
 */

/** The same as for a flood of connections: objects and buffers, after a garbage collection. */
const GROWTH_MB_MAX = 32
const LATENCY_RATIO_MAX = 2

const { values } = parseArgs({ options: { seconds: { type: 'string' }, only: { type: 'string' } } })
const ms = 1000 * Number(values.seconds ?? 10)
const attacks = ATTACKS.filter(({ name }) => values.only === undefined || name.includes(values.only))

const siege = await createSiege(1 + CONVICTIONS.length)
const [mallory, ...convicts] = siege.hostile
if (!mallory) throw new Error('nobody to attack')
const failures: string[] = []
try {
  await siege.work(ms) // until everything is compiled
  const calm: number[] = []
  const beforeMb = await siege.heldMb()
  for (const attack of attacks) {
    // All share this machine, the attacker too: an attack on the decoy tells what that alone costs.
    const elsewhere = siege.attack(mallory, attack, [siege.decoy])
    const quiet = await siege.work(ms)
    await elsewhere.stop()
    calm.push(...quiet.latencies)
    const attacking = siege.attack(mallory, attack, [siege.alpha, siege.beta])
    const { latencies } = await siege.work(ms)
    const strikes = await attacking.stop()
    const grownMb = (await siege.heldMb()) - beforeMb
    const ratio = p99(latencies) / p99(quiet.latencies)
    const figures = { strikes, calmP99: p99(quiet.latencies), p99: p99(latencies), ratio, grownMb }
    console.log(JSON.stringify({ attack: attack.name, id: attack.id, ...rounded(figures) }))
    if (ratio > LATENCY_RATIO_MAX) failures.push(`${attack.name}: p99 ${ratio.toFixed(1)} times the calm one`)
    if (grownMb > GROWTH_MB_MAX) failures.push(`${attack.name}: ${grownMb.toFixed(0)} MB more`)
  }
  const problem = await siege.problemOf(mallory.peer)
  console.log(JSON.stringify({ calmP99: Math.round(p99(calm)), status: problem }))
  if (problem === null) failures.push('status does not name the member')
  for (const [i, conviction] of CONVICTIONS.entries()) {
    const convict = convicts[i]
    if (!convict) throw new Error('too few members')
    const striking = siege.attack(convict, conviction, [siege.alpha, siege.beta])
    await siege.work(3000)
    await striking.stop()
    const said = await siege.problemOf(convict.peer)
    console.log(JSON.stringify({ conviction: conviction.name, status: said }))
    if (said?.includes(conviction.reason) !== true) failures.push(`${conviction.name}: status says ${said}`)
  }
  const content = await siege.content()
  console.log(JSON.stringify({ agreedBytes: content.length, failures }))
} finally {
  await siege.dispose()
}
process.exitCode = failures.length > 0 ? 1 : 0

function rounded(figures: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Math.round(value * 10) / 10]))
}

import { Command, InvalidArgumentError } from 'commander'
import { ATTACKS, CONVICTIONS } from './attacks.ts'
import { createSiege, p99 } from './siege.ts'

/** The same as for a flood of connections: objects and buffers, after a garbage collection. */
const GROWTH_MB_MAX = 32
const LATENCY_RATIO_MAX = 2

const program = new Command('npm run test:hostile --')
  .description('Lets a member do to two honest nodes all that their threat model names, while people work on them.')
  .option('--seconds <count>', 'of work under each attack, and as long without it', positive, 10)
  .option('--only <text>', 'just the attacks whose names have this in them', named)
  .addHelpText(
    'after',
    `
For each attack a line of JSON: what it did to the latency (against the same attack on a node on which nobody works) and to
the memory of the nodes; then what \`rookery status\` says of the member. Exit code: 0 when none of it was too much.`,
  )
  .parse()
const { seconds, only } = program.opts<{ seconds: number; only?: string }>()
const ms = 1000 * seconds
const attacks = ATTACKS.filter(({ name }) => only === undefined || name.includes(only))

const siege = await createSiege(1 + CONVICTIONS.length)
// Its nodes would go on without it.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void siege.dispose().finally(() => process.exit(130)))
const [mallory, ...convicts] = siege.hostile
if (!mallory) throw new Error('nobody to attack')
const failures: string[] = []
try {
  await siege.work(ms) // until everything is compiled
  const calm: number[] = []
  const beforeMb = await siege.heldMb()
  for (const attack of attacks) {
    // All share this machine, the attacker too: as much of an attack on the decoy tells what that alone costs.
    const elsewhere = siege.attack(mallory, attack, [siege.decoy, siege.decoy])
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

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('Give a number above 0.')
  return value
}

function named(text: string): string {
  if (ATTACKS.some(({ name }) => name.includes(text))) return text
  throw new InvalidArgumentError(`There are: ${ATTACKS.map(({ name }) => name).join('; ')}.`)
}

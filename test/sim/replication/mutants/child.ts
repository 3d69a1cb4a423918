import { mutants } from './mutants.ts'
import { plant } from './plant.ts'

/*
 * `child.ts <mutant> <seed>…`: runs the seeds without the guard until one is violated for a reason that was foreseen.
 * The last line on stdout is `{ seed, violation }`, or `{}`. Nothing of the production code is loaded before the plant.
 */

const [name, ...seeds] = process.argv.slice(2)
const mutant = mutants.find((one) => one.name === name)
if (!mutant) throw new Error(`there is no mutant ${name}`)
const { attack, tune = (plan) => plan } = mutant
plant(mutant)
const { runPlan } = await import('../run-seed.ts')
const { drawPlan } = await import('../plan.ts')
const found = await findIn(seeds.map(Number))
process.stdout.write(`\n${JSON.stringify(found)}\n`, () => process.exit(0))

async function findIn(seeds: readonly number[]): Promise<{ seed?: number; violation?: string }> {
  for (const seed of seeds) {
    const plan = tune(drawPlan(seed))
    const { violations } = await runPlan(
      attack === undefined ? plan : { ...plan, hostile: ['brazen'], focus: [attack] },
    )
    const violation = violations.find((text) => mutant?.expects.some((rule) => text.startsWith(`[${rule}]`)))
    if (violation !== undefined) return { seed, violation }
  }
  return {}
}

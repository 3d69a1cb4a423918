import { mutants } from './mutants.ts'
import { tryMutant } from './trial.ts'

/*
 * Takes out every guard in turn. `main.ts [part of a name]`; with `--search <first> <count>` it looks for schedules that
 * find a mutant, instead of those that the table names.
 */

const args = process.argv.slice(2).filter((arg) => arg !== '--replication' && arg !== '--mutants')
const at = args.indexOf('--search')
const [first = 1, count = 40] = at < 0 ? [] : args.slice(at + 1, at + 3).map(Number)
const [part = ''] = at === 0 ? [] : args
const searched = Array.from({ length: count }, (_, i) => first + i)

let survivors = 0
const chosen = mutants.filter(({ name }) => name.includes(part))
for (const mutant of chosen) {
  const { seed, violation, crash } = await tryMutant(mutant, at < 0 ? mutant.seeds : searched)
  if (seed === undefined) survivors += 1
  const outcome = seed === undefined ? `SURVIVED ${crash ?? ''}` : `caught by ${seed}: ${violation?.slice(0, 200)}`
  process.stdout.write(`${mutant.name} (${mutant.rule}): ${outcome}\n`)
}
process.stdout.write(`${JSON.stringify({ mutants: chosen.length, survivors, violations: survivors })}\n`)
process.exitCode = survivors > 0 ? 1 : 0

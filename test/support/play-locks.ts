import { lockMutants } from '../sim/mutants/catalogue/locks.ts'
import { plant } from '../sim/mutants/plant.ts'

/*
 * node test/support/play-locks.ts <first seed> <seeds> [<mutant>]
 * Plays so many schedules of locks, with one guard taken out of the product if a mutant is named. Prints those that went
 * wrong, then a summary, one JSON value per line.
 */
const [first = '1', count = '1', name] = process.argv.slice(2)
const mutant = lockMutants.find((one) => one.name === name)
if (name !== undefined && !mutant) throw new Error(`there is no mutant "${name}"`)
if (mutant) plant(mutant)
const { playLocks } = await import('./lock-schedules.ts')

const sum = {
  first: Number(first),
  seeds: Number(count),
  failed: 0,
  provisional: 0,
  yields: 0,
  restarts: 0,
  certified: 0,
}
for (let seed = sum.first; seed < sum.first + sum.seeds; seed++) {
  const { faults, ...met } = await playLocks(seed)
  sum.provisional += met.provisional
  sum.yields += met.yields
  sum.restarts += met.restarts
  sum.certified += met.certified
  if (faults.length === 0) continue
  sum.failed++
  console.log(JSON.stringify({ seed, faults }))
}
console.log(JSON.stringify(sum))

import { registerHooks } from 'node:module'
import { LOCK_MUTANTS, type LockMutant } from './lock-mutants.ts'

/*
 * node test/support/play-locks.ts <first seed> <seeds> [<mutant>]
 * Plays so many schedules of locks, with one guard taken out of the product if a mutant is named. Prints those that went
 * wrong, then a summary, one JSON value per line.
 */
const [first = '1', count = '1', name] = process.argv.slice(2)
const mutant = name === undefined ? undefined : LOCK_MUTANTS[name]
if (name !== undefined && !mutant) throw new Error(`there is no mutant "${name}"`)
if (mutant) mutate(mutant)
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

/** Replaces a piece of one source file as it is loaded; the piece must be there, once. */
function mutate({ file, from, to }: LockMutant): void {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      if (!url.endsWith(`/${file}`)) return loaded
      const source = typeof loaded.source === 'string' ? loaded.source : new TextDecoder().decode(loaded.source)
      const parts = source.split(from)
      if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} of: ${from}`)
      return { ...loaded, source: parts.join(to) }
    },
  })
}

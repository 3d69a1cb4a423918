import { registerHooks } from 'node:module'
import { LOCK_MUTANTS, type LockMutant } from './lock-mutants.ts'

/*
 * node test/support/play-locks.ts <first seed> <seeds>    plays so many schedules of locks
 * node test/support/play-locks.ts --mutant <name> [<first seed> <seeds>]    with one guard taken out of the product; by
 *                                                                           default the schedules known to need it
 * Prints those that went wrong, then a summary, one JSON value per line.
 */
const args = process.argv.slice(2)
const mutant = args[0] === '--mutant' ? LOCK_MUTANTS[args[1] ?? ''] : undefined
if (args[0] === '--mutant' && !mutant) throw new Error(`unknown mutant: ${args[1]}`)
const [first = 1, count = 1] = args.slice(mutant ? 2 : 0).map(Number)
const seeds = mutant && args.length === 2 ? mutant.seeds : Array.from({ length: count }, (_, i) => first + i)
if (mutant) mutate(mutant)
const { playLocks } = await import('./lock-schedules.ts')

const sum = { seeds: seeds.length, failed: 0, provisional: 0, yields: 0, restarts: 0, certified: 0 }
for (const seed of seeds) {
  const { faults, ...met } = await playLocks(seed).catch((error: unknown) => ({
    faults: [String(error)],
    provisional: 0,
    yields: 0,
    restarts: 0,
    certified: 0,
  }))
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
      const parts = String(loaded.source).split(from)
      if (parts.length !== 2) throw new Error(`${file} has ${parts.length - 1} of: ${from}`)
      return { ...loaded, source: parts.join(to) }
    },
  })
}

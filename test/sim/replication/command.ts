import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import { emptyTally, type Failure, type Tally } from './batch.ts'
import { addCounts, describeCounts, missing } from './counts.ts'
import { drawPlan } from './plan.ts'
import { runPool } from './pool.ts'
import { runSeed } from './run-seed.ts'

/** Where a run starts unless told otherwise, so that two people see the same. */
const FIRST_SEED = 1
const SEEDS = 200
const PROGRESS_EVERY_MS = 5000

type Options = { seeds?: number; seed?: number; jobs: number; determinism: number; verbose: boolean; json: boolean }
type Range = { readonly seed: number; readonly seeds: number }

const count = (text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('a whole number is needed')
  return value
}

const program = new Command('npm run sim -- --replication')
  .description('Runs feeds, synchronisation and membership on simulated machines: every seed is another mesh.')
  .option('--replication', 'this simulator')
  .option('--seeds <n>', `how many schedules (${SEEDS}, or the one of --seed)`, count)
  .option('--seed <n>', 'the first seed; alone: just this one', count)
  .option('--jobs <n>', 'threads', count, availableParallelism())
  .option('--determinism <n>', 'run so many of the seeds twice and compare', count, 0)
  .option('--verbose', 'print everything that happens in each schedule', false)
  .option('--json', 'print nothing but the last line', false)
  .addHelpText(
    'after',
    `
Prints what happened, and as its last line one JSON object with all counts. A violation is printed with the world it
happened in and the command that repeats it. Exit code: 0 when nothing was violated and, from 300 schedules on,
everything that has to happen sometimes did happen; 1 otherwise.`,
  )
  .parse()

const options = program.opts<Options>()
const range: Range = {
  seed: options.seed ?? FIRST_SEED,
  seeds: options.seeds ?? (options.seed === undefined ? SEEDS : 1),
}
const print = (text: string): void => void process.stdout.write(`${text}\n`)
const say = options.json ? () => undefined : print
const stop = new AbortController()
process.once('SIGINT', () => stop.abort(new Error('interrupted')))
process.once('SIGTERM', () => stop.abort(new Error('interrupted')))

report(options.verbose ? await runVerbosely(range) : await runInThreads(range, options))

async function runInThreads({ seed, seeds }: Range, { jobs, determinism }: Options): Promise<Tally> {
  const began = performance.now()
  let told = began
  let shown = 0
  return await runPool({
    jobs: Array.from({ length: seeds }, (_, i) => ({ seed: seed + i, twice: i < determinism })),
    threads: Math.max(1, jobs),
    signal: stop.signal,
    onProgress({ counts: { schedules }, failures }) {
      for (const failure of failures.slice(shown)) say(describeFailure(failure))
      shown = failures.length
      const now = performance.now()
      if (now - told < PROGRESS_EVERY_MS) return
      told = now
      const perMinute = (schedules / (now - began)) * 60_000
      process.stderr.write(`${schedules} of ${seeds}, ${perMinute.toFixed(0)} a minute, ${failures.length} bad\n`)
    },
  })
}

async function runVerbosely({ seed, seeds }: Range): Promise<Tally> {
  const total = emptyTally()
  for (let i = 0; i < seeds && !stop.signal.aborted; i++) {
    say(`seed ${seed + i}`)
    const { counts, violations } = await runSeed(seed + i, say)
    addCounts(total.counts, counts)
    if (violations.length === 0) continue
    total.failures.push({ seed: seed + i, violations })
    say(describeFailure({ seed: seed + i, violations }))
  }
  return total
}

function report({ counts, failures, determinismReruns }: Tally): void {
  say(describeCounts(counts))
  const never = missing(counts)
  if (never.length > 0) say(`A vacuous run: never once ${never.join(', ')}.`)
  if (stop.signal.aborted) say('Interrupted: these are the schedules that were finished.')
  const { seed: firstSeed } = range
  print(JSON.stringify({ ...counts, firstSeed, determinismReruns, neverHappened: never, violations: failures.length }))
  process.exitCode = failures.length > 0 || never.length > 0 ? 1 : 0
}

function describeFailure({ seed, violations }: Failure): string {
  return [
    `seed ${seed}:`,
    ...violations.map((violation) => `  ${violation}`),
    `  in ${JSON.stringify(drawPlan(seed))}`,
    `  again: npm run sim -- --replication --seed ${seed} --verbose`,
  ].join('\n')
}

import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import { emptyTally, type Failure, type Tally } from './batch.ts'
import { addCounts, describeCounts, missing } from './leases/counts.ts'
import { runPool } from './pool.ts'
import { runSeed } from './run-seed.ts'
import { drawPlan, type Shape } from './leases/swarm.ts'

const SEEDS = 200
/** Where a run starts unless told otherwise, so that two people see the same. */
const FIRST_SEED = 1
const PROGRESS_EVERY_MS = 5000

type Options = {
  seeds?: number
  seed?: number
  nodes?: number
  minutes?: number
  jobs: number
  determinism: number
  verbose: boolean
  json: boolean
}

const count = (text: string): number => {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('a whole number is needed')
  return value
}

const options = new Command('npm run sim --')
  .description('Runs the lease protocol on simulated machines: every seed is another mesh with other troubles.')
  .option('--seeds <n>', `how many schedules (${SEEDS}, or the one of --seed)`, count)
  .option('--seed <n>', 'the first seed; alone: just this one', count)
  .option('--jobs <n>', 'threads', count, availableParallelism())
  .option('--determinism <n>', 'run so many of the seeds twice and compare', count, 0)
  .option('--nodes <n>', 'as many nodes in each mesh, instead of one to six', count)
  .option('--minutes <n>', 'so long before the faults end, with agents that take their time', count)
  .option('--verbose', 'print everything that happens in each schedule', false)
  .option('--json', 'print nothing but the last line', false)
  .option('--mutants', 'sabotage the protocol in many ways and see that each is noticed (has its own --help)')
  .addHelpText(
    'after',
    `
Prints what happened, and as its last line one JSON object with all counts. A violation is printed with what happened
just before and the command that repeats it. Exit code: 0 when nothing was violated and, from 2000 schedules on,
everything that has to happen sometimes did happen; 1 otherwise.`,
  )
  .parse()
  .opts<Options>()

const firstSeed = options.seed ?? FIRST_SEED
const seeds = options.seeds ?? (options.seed === undefined ? SEEDS : 1)
const shape: Shape = {
  ...(options.nodes !== undefined && { nodes: options.nodes }),
  ...(options.minutes !== undefined && { minutes: options.minutes }),
}
const print = (text: string): void => void process.stdout.write(`${text}\n`)
const say = options.json ? () => undefined : print
const stop = new AbortController()
process.once('SIGINT', () => stop.abort(new Error('interrupted')))
process.once('SIGTERM', () => stop.abort(new Error('interrupted')))

report(options.verbose ? await runVerbosely() : await runInThreads())

async function runInThreads(): Promise<Tally> {
  const began = performance.now()
  let told = began
  return await runPool({
    firstSeed,
    seeds,
    shape,
    jobs: Math.max(1, options.jobs),
    determinism: options.determinism,
    signal: stop.signal,
    onProgress({ counts: { schedules }, failures }) {
      const now = performance.now()
      if (now - told < PROGRESS_EVERY_MS) return
      told = now
      const perMinute = (schedules / (now - began)) * 60_000
      process.stderr.write(`${schedules} of ${seeds}, ${perMinute.toFixed(0)} a minute, ${failures.length} bad\n`)
    },
  })
}

async function runVerbosely(): Promise<Tally> {
  const total = emptyTally()
  for (let seed = firstSeed; seed < firstSeed + seeds && !stop.signal.aborted; seed++) {
    say(`seed ${seed}`)
    const { counts, violations } = await runSeed(seed, shape, say)
    addCounts(total.counts, counts)
    if (violations.length > 0) total.failures.push({ seed, violations, tail: [] })
  }
  return total
}

function report({ counts, failures, determinismReruns }: Tally): void {
  for (const failure of failures) say(describeFailure(failure))
  say(describeCounts(counts))
  const neverHappened = missing(counts)
  if (neverHappened.length > 0) say(`A vacuous run: never once ${neverHappened.join(', ')}.`)
  if (stop.signal.aborted) say('Interrupted: these are the schedules that were finished.')
  const schedulesPerMinutePerCore = Math.round((counts.schedules / counts.cpuMs) * 60_000)
  const seedsBad = failures.map(({ seed }) => seed)
  print(
    JSON.stringify({
      ...counts,
      firstSeed,
      ...shape,
      determinismReruns,
      schedulesPerMinutePerCore,
      neverHappened,
      seedsBad,
      violations: failures.length,
    }),
  )
  process.exitCode = failures.length > 0 || neverHappened.length > 0 ? 1 : 0
}

function describeFailure({ seed, violations, tail }: Failure): string {
  const shaped = Object.entries(shape).map(([name, value]) => ` --${name} ${value}`)
  return [
    `seed ${seed}:`,
    ...violations.map((violation) => `  ${violation}`),
    '  just before the first of them:',
    ...tail.map((line) => `    ${line}`),
    `  in ${JSON.stringify(drawPlan(seed, shape))}`,
    `  again: npm run sim -- --seed ${seed}${shaped.join('')} --verbose`,
  ].join('\n')
}

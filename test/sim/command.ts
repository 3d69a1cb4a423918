import { availableParallelism } from 'node:os'
import { Command } from 'commander'
import { describeCounts, missing } from './counting.ts'
import { runPool } from './pool.ts'
import type { Shape, Simulator } from './simulator.ts'
import { addTally, emptyTally, tallySeed, type Failure, type Tally } from './tally.ts'
import { wholeNumber } from './whole-number.ts'

const SEEDS = 200
/** Where a run starts unless told otherwise, so that two people see the same. */
const FIRST_SEED = 1
const PROGRESS_EVERY_MS = 5000

type Options = { seeds?: number; seed?: number; jobs: number; determinism: number; verbose: boolean; json: boolean }
type Run = Required<Options> & { readonly shape: Shape; readonly signal: AbortSignal }

const print = (text: string): void => void process.stdout.write(`${text}\n`)

/** Does what the command line says, with one of the simulators. */
export async function runCommand(simulator: Simulator): Promise<void> {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(new Error('interrupted')))
  process.once('SIGTERM', () => stop.abort(new Error('interrupted')))
  const run = { ...parse(simulator), signal: stop.signal }
  report(simulator, run, run.verbose ? await runVerbosely(simulator, run) : await runInThreads(simulator, run))
}

function parse({ command, says, shapes, musts }: Simulator): Omit<Run, 'signal'> {
  const program = new Command(command)
    .description(`${says} on simulated machines: every seed is another mesh with other troubles.`)
    .option('--replication', 'feeds, synchronisation and membership instead of leases')
    .option('--seeds <n>', `how many schedules (${SEEDS}, or the one of --seed)`, wholeNumber)
    .option('--seed <n>', 'the first seed; alone: just this one', wholeNumber)
    .option('--jobs <n>', 'threads', wholeNumber, availableParallelism())
    .option('--determinism <n>', 'run so many of the seeds twice and compare', wholeNumber, 0)
  for (const [name, what] of Object.entries(shapes)) program.option(`--${name} <n>`, what, wholeNumber)
  const options = program
    .option('--verbose', 'print everything that happens in each schedule', false)
    .option('--json', 'print nothing but the last line', false)
    .option('--mutants', 'take out every guard in turn and see that each is missed (has its own --help)')
    .addHelpText(
      'after',
      `
Prints what happened, and as its last line one JSON object with all counts. A violation is printed with what happened
just before and the command that repeats it. Exit code: 0 when nothing was violated and, from ${musts.fromSchedules} schedules on,
everything that has to happen sometimes did happen; 1 otherwise.`,
    )
    .parse()
    .opts<Options & Partial<Shape>>()
  const { seed = FIRST_SEED, seeds = options.seed === undefined ? SEEDS : 1 } = options
  const given = Object.entries(options).filter((option): option is [string, number] => option[0] in shapes)
  return { ...options, seed, seeds, shape: Object.fromEntries(given) }
}

async function runInThreads(simulator: Simulator, run: Run): Promise<Tally> {
  const { seed: firstSeed, seeds, jobs } = run
  const began = performance.now()
  let told = began
  return await runPool(simulator, {
    ...run,
    firstSeed,
    threads: Math.max(1, jobs),
    onTally(more, { counts: { schedules }, failures }) {
      tell(simulator, run, more)
      const now = performance.now()
      if (now - told < PROGRESS_EVERY_MS) return
      told = now
      const perMinute = (schedules / (now - began)) * 60_000
      process.stderr.write(`${schedules} of ${seeds}, ${perMinute.toFixed(0)} a minute, ${failures.length} bad\n`)
    },
  })
}

async function runVerbosely(simulator: Simulator, run: Run): Promise<Tally> {
  const { seed: first, seeds, shape, determinism, signal, json } = run
  const total = emptyTally(simulator)
  for (let i = 0; i < seeds && !signal.aborted; i++) {
    const say = json ? () => undefined : print
    say(`seed ${first + i}`)
    const tally = await tallySeed(simulator, { seed: first + i, shape, twice: i < determinism }, say)
    tell(simulator, run, tally)
    addTally(total, tally)
  }
  return total
}

function tell({ command }: Simulator, { json, shape }: Run, { failures }: Tally): void {
  if (json) return
  const shaped = Object.entries(shape).map(([name, value]) => ` --${name} ${value}`)
  for (const failure of failures) print(describeFailure(failure, `${command}${shaped.join('')}`))
}

function describeFailure({ seed, violations, tail, plan }: Failure, command: string): string {
  return [
    `seed ${seed}:`,
    ...violations.map((violation) => `  ${violation}`),
    ...(tail.length > 0 ? ['  just before the first of them:'] : []),
    ...tail.map((line) => `    ${line}`),
    `  in ${JSON.stringify(plan)}`,
    `  again: ${command} --seed ${seed} --verbose`,
  ].join('\n')
}

function report({ musts }: Simulator, { seed, shape, json, signal }: Run, tally: Tally): void {
  const { counts, failures, determinismReruns } = tally
  const neverHappened = missing(counts, musts)
  if (!json) {
    print(describeCounts(counts))
    if (neverHappened.length > 0) print(`A vacuous run: never once ${neverHappened.join(', ')}.`)
    if (signal.aborted) print('Interrupted: these are the schedules that were finished.')
  }
  const outcome = {
    ...counts,
    firstSeed: seed,
    ...shape,
    determinismReruns,
    schedulesPerMinutePerCore: Math.round((counts.schedules / counts.cpuMs) * 60_000),
    neverHappened,
    seedsBad: failures.map((failure) => failure.seed),
    violations: failures.length,
  }
  print(JSON.stringify(outcome))
  process.exitCode = failures.length > 0 || neverHappened.length > 0 ? 1 : 0
}

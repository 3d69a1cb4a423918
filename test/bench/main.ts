import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Argument, Command } from 'commander'
import type { Benchmark, Context, Measurement } from './benchmark.ts'
import { claims } from './claims.ts'
import { context as contextIndex } from './context.ts'
import { footprint } from './footprint.ts'
import { initialSync } from './initial-sync.ts'
import { leases } from './leases.ts'
import { describeMachine } from './machine.ts'
import { installPeers } from './install-peers.ts'
import { propagation } from './propagation.ts'
import { json, markdown, replaceNumbers, withGoals, type Report } from './report.ts'
import { rest } from './rest.ts'
import { scale } from './scale.ts'
import { terminal } from './terminal.ts'

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  leases,
  claims,
  propagation,
  'initial-sync': initialSync,
  terminal,
  rest,
  context: contextIndex,
  footprint,
  scale,
}

const README = join(import.meta.dirname, '../../README.md')
const NUMBERS = join(import.meta.dirname, '../../docs/numbers.md')

const program = new Command('npm run bench --')
  .description('Measures Rookery and, in the same run, the program each figure is compared with.')
  .addArgument(new Argument('[name...]', 'just these').choices(Object.keys(BENCHMARKS)))
  .option('--quick', 'few samples: about a minute instead of some five', false)
  .option('--json', 'print the result as one JSON value on the last line', false)
  .option('--readme', 'also write the table into docs/numbers.md, and what has a goal into README.md', false)
  .option('--install', 'install what can be compared with but is missing (etcd, redis), with apt-get', false)
  .addHelpText(
    'after',
    `
Nothing is installed without --install; a peer that is not there is skipped, and the result says so. What is started
runs on loopback in temporary directories and is ended and removed, also after Ctrl-C. Other load on the machine moves
all figures: trust the ratios. Exit code: 0 when everything could be measured, whether or not the goals are met.`,
  )
  .parse()

const names = program.processedArgs[0] as readonly string[]
const options = program.opts<{ quick: boolean; json: boolean; readme: boolean; install: boolean }>()
const say = (text: string): void => void process.stderr.write(`${text}\n`)

/** What has to be undone for the benchmark that runs. */
let undos: (() => unknown)[] = []
async function undoAll(): Promise<void> {
  const mine = undos
  undos = []
  for (const undo of mine.toReversed()) {
    try {
      await undo()
    } catch (error) {
      say(`cleaning up failed: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

const LATE_STARTS_MS = 200

let isInterrupted = false
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.on(signal, () => {
    if (isInterrupted) return
    isInterrupted = true
    say('interrupted: cleaning up')
    // What was being started just now registers its undoing a little later.
    void undoAll()
      .then(() => sleep(LATE_STARTS_MS))
      .then(undoAll)
      .then(() => process.exit(code))
  })

if (options.install) installPeers(say)

const context: Context = {
  quick: options.quick,
  defer: (undo) => void undos.push(undo),
  skip: (what) => void skipped.push(what),
  say: (text) => say(`  ${text}`),
}

const measurements: Measurement[] = []
const skipped: string[] = []
let hasFailed = false
for (const [name, benchmark] of Object.entries(BENCHMARKS)) {
  if (isInterrupted) break
  if (names.length > 0 && !names.includes(name)) continue
  say(`${name} …`)
  const began = performance.now()
  try {
    measurements.push(...(await benchmark(context)))
  } catch (error) {
    // The others are still worth having.
    if (!isInterrupted)
      say(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    skipped.push(`${name}: failed`)
    hasFailed = true
  }
  await undoAll()
  say(`  ${((performance.now() - began) / 1000).toFixed(1)} s`)
}

if (!isInterrupted) {
  const machine = await describeMachine(context)
  await undoAll()
  const report: Report = { machine, quick: options.quick, measurements, skipped }
  process.stdout.write(`${markdown(report)}\n`)
  if (options.readme) {
    await replaceNumbers(NUMBERS, markdown(report))
    await replaceNumbers(README, markdown(withGoals(report)))
  }
  if (options.json) process.stdout.write(`${json(report)}\n`)
  process.exitCode = hasFailed ? 1 : 0
}

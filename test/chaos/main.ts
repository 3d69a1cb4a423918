import { Command, InvalidArgumentError, Option } from 'commander'
import { runChaos } from './run.ts'

const positive = (text: string): number => {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('Give a number above 0.')
  return value
}

const program = new Command('npm run test:chaos --')
  .description('Lets agents fight for locks and tasks on real nodes while things go wrong, and checks the history.')
  .addOption(new Option('--nodes <count>', 'nodes, all of which vote').choices(['3', '5']).default('3'))
  .option('--ops <count>', 'operations of all agents together', positive, 2000)
  .option('--minutes <count>', 'end after so long, whatever has been done', positive, 30)
  .option('--seed <number>', 'of what agents and faults do; how it is timed differs from run to run', Number)
  .option('--keep', 'keep history and logs even when nothing is wrong', false)
  .addHelpText(
    'after',
    `
Faults: processes are killed and restarted, or stopped for a while; disks are filled (as root, who may mount a small
one); links are cut in both or in one direction, reset, or slowed down, by a proxy between the nodes. Everything runs
on loopback in temporary directories. What is checked: no two holders of one thing at a time, tokens that grow, tasks
that are completed once, and afterwards that everybody can take everything, that all boards agree and nothing is lost.

Progress goes to standard error; the last line of standard output is one JSON value with counts and "violations".
When there are any, history and logs are kept and the path is told. Exit code: 0 without violations, else 1.`,
  )
  .parse()

const options = program.opts<{ nodes: '3' | '5'; ops: number; minutes: number; seed?: number; keep: boolean }>()
const say = (text: string): void => void process.stderr.write(`${text}\n`)

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())

const chosen = {
  nodes: options.nodes === '5' ? (5 as const) : (3 as const),
  ops: options.ops,
  minutes: options.minutes,
  seed: options.seed ?? Date.now() % 1_000_000,
  keep: options.keep,
}
try {
  const report = await runChaos(chosen, say, interrupted.signal)
  for (const text of report.found) say(`VIOLATION ${text}`)
  if (report.kept !== null) say(`history and logs are in ${report.kept}`)
  process.stdout.write(`${JSON.stringify(report)}\n`)
  process.exit(report.violations === 0 ? 0 : 1)
} catch (error) {
  if (!interrupted.signal.aborted) throw error
  say(error instanceof Error ? error.message : String(error))
  process.exit(130)
}

import { Command, InvalidArgumentError } from 'commander'
import { NODES_MAX } from './mesh.ts'
import { runSoak } from './run.ts'

const above = (min: number, max: number) => (text: string) => {
  const value = Number(text)
  if (!(value >= min && value <= max)) throw new InvalidArgumentError(`Give a number from ${min} to ${max}.`)
  return value
}

const program = new Command('npm run test:soak --')
  .description('Lets a mesh of real nodes work under churn for long, and looks whether anything grows or differs.')
  .option('--minutes <count>', 'of work and churn', above(1, 24 * 60), 60)
  .option('--nodes <count>', 'nodes; the first three vote', above(3, NODES_MAX), 5)
  .option('--seed <number>', 'of what agents and troubles do', Number)
  .addHelpText(
    'after',
    `
Agents make, claim and complete tasks, lock files and open terminals on every node, while nodes are restarted, killed
and stalled, and guests join and are removed. The first two nodes run from start to end: what their memory does is told
as a slope, after the first third of the time. At the end all boards have to be alike (by hash), and every node has to have
given back its handles.

Progress goes to standard error; the last line of standard output is one JSON value. Exit code: 0 without violations.`,
  )
  .parse()

const options = program.opts<{ minutes: number; nodes: number; seed?: number }>()
const say = (text: string): void => void process.stderr.write(`${text}\n`)
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
const seed = options.seed ?? Date.now() % 1_000_000
const report = await runSoak({ ...options, seed }, say, interrupted.signal)
for (const text of report.violations) say(`VIOLATION ${text}`)
process.stdout.write(`${JSON.stringify(report)}\n`)
process.exit(report.violations.length === 0 ? 0 : 1)

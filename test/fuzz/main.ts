import { Command, InvalidArgumentError } from 'commander'
import { fuzzWatched } from './watched.ts'

const whole = (text: string): number => {
  if (/^\d{1,12}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number.')
}

const program = new Command('node test/fuzz/main.ts')
  .description('Feeds mutated samples to every decoder that bytes from elsewhere reach.')
  .option('--inputs <count>', 'how many', whole, 100_000)
  .option('--seed <number>', 'of all that is random; another one each time unless it is given', whole)
  .option('--from <number>', 'the first input: to repeat a single one that failed', whole, 0)
  .addHelpText('after', '\nPrints a report as JSON. Exit code: 0 when no input crashed or hung a decoder.')
  .parse()
const { from, inputs, seed = Date.now() % 2 ** 31 } = program.opts<{ from: number; inputs: number; seed?: number }>()

console.log(`fuzzing every decoder: seed ${seed}, inputs ${from} to ${from + inputs}`)
const startMs = performance.now()
const report = await fuzzWatched({ seed, from, inputs })
console.log(JSON.stringify({ ...report, seconds: Math.round((performance.now() - startMs) / 1000) }, null, 2))
if ('hangsAt' in report) console.log(`hangs: node test/fuzz/main.ts --seed ${seed} --from ${report.hangsAt} --inputs 1`)
process.exitCode = 'hangsAt' in report || report.crashes.length > 0 ? 1 : 0

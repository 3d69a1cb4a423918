import { parseArgs } from 'node:util'
import { fuzzWatched } from './watched.ts'

const { values } = parseArgs({
  options: { seed: { type: 'string' }, from: { type: 'string' }, inputs: { type: 'string' } },
})
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const [from, inputs] = [Number(values.from ?? 0), Number(values.inputs ?? 100_000)]

console.log(`fuzzing every decoder: seed ${seed}, inputs ${from} to ${from + inputs}`)
const startMs = performance.now()
const report = await fuzzWatched({ seed, from, inputs })
console.log(JSON.stringify({ ...report, seconds: Math.round((performance.now() - startMs) / 1000) }, null, 2))
if ('hangsAt' in report) console.log(`hangs: node test/fuzz/main.ts --seed ${seed} --from ${report.hangsAt} --inputs 1`)
process.exitCode = 'hangsAt' in report || report.crashes.length > 0 ? 1 : 0

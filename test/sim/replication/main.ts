import { runSeed } from './run-seed.ts'
const [from = '1', count = '1', verbose] = process.argv.slice(2)
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const began = performance.now()
  const { violations, hash, counts } = await runSeed(seed, verbose ? (line) => console.log(line) : undefined)
  console.log(seed, hash, `${(performance.now() - began).toFixed(0)} ms`, counts.acknowledged, violations.map((v) => v.slice(0, 1500)))
  if (verbose) console.log(JSON.stringify(counts))
}

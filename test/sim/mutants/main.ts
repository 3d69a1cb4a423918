import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Command } from 'commander'
import { wholeNumber } from '../whole-number.ts'
import { catalogues } from './catalogue.ts'
import { document, MUTANTS_MD } from './markdown.ts'
import { judgeAll, survival, type Verdict } from './verdict.ts'

type Options = {
  replication: boolean
  quick: boolean
  mutant?: string
  scenarios: boolean
  markdown: boolean
  jobs: number
}

const program = new Command('npm run sim -- --mutants')
  .description('Takes every guard out of the lease protocol, one at a time, and looks whether anybody notices.')
  .option('--mutants', 'this')
  .option('--replication', 'the guards of replication instead', false)
  .option('--quick', 'a fast subset, by directed scenarios only where there are any', false)
  .option('--mutant <name>', 'only this one')
  .option('--scenarios', 'by directed scenarios only where there are any, not by random schedules', false)
  .option('--markdown', 'writes what came out to MUTANTS.md', false)
  .option('--jobs <n>', 'processes', wholeNumber, availableParallelism())
  .addHelpText(
    'after',
    `
A mutant is killed when all that is to catch it does, with the invariant that was foreseen: a crash or a hang is no
catch. The last line is one JSON object. Exit code: 0 when no mutant survived, 1 otherwise.`,
  )
  .parse()
const { replication, quick, mutant, scenarios, markdown, jobs } = program.opts<Options>()

const say = (text: string): void => void process.stdout.write(`${text}\n`)

const all = replication ? catalogues.replication : catalogues.leases
const chosen = all.filter((one) => (mutant === undefined ? one.quick || !quick : one.name === mutant))
if (replication && markdown) program.error('MUTANTS.md is about leases')
if (chosen.length === 0) program.error(`there is no mutant ${mutant}`)
const verdicts = await judgeAll(chosen, {
  jobs: Math.max(1, jobs),
  withSeeds: !quick && !scenarios,
  onVerdict: (verdict) => say(describe(verdict)),
})
if (markdown) writeFileSync(MUTANTS_MD, document(readFileSync(MUTANTS_MD, 'utf8'), verdicts))
const survivors = verdicts.filter(({ isKilled }) => !isKilled).map(({ mutant: { name } }) => name)
const broken = verdicts.flatMap(({ trials }) => trials.filter(({ crash }) => crash !== null))
const killed = verdicts.length - survivors.length
// A guard that nobody misses is what this run looks for; a trial that also crashed after its catch is only told.
say(
  JSON.stringify({ mutants: verdicts.length, killed, survivors, crashed: broken.length, violations: survivors.length }),
)
process.exitCode = survivors.length > 0 ? 1 : 0

function describe(verdict: Verdict): string {
  const { mutant: one, trials, isKilled } = verdict
  if (!isKilled) return [`SURVIVED ${one.name} (${one.rule})`, ...survival(verdict)].join('\n    ')
  const found = trials.map(({ by, seed, violations: [first] }) => `${seed === null ? by : `seed ${seed}`}: ${first}`)
  const after = trials.flatMap(({ crash }) => (crash === null ? [] : [`and then: ${crash.split('\n', 1)[0]}`]))
  return [`caught ${one.name} (${one.rule})`, ...found, ...after].join('\n    ')
}

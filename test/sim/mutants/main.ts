import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { mutants } from './catalogue.ts'
import { markdown } from './markdown.ts'
import { survival, judgeAll, type Verdict } from './verdict.ts'

export type MutantOptions = {
  /** Only what its scenario catches, and of that the fast subset. */
  readonly quick: boolean
  readonly name?: string
  /** Prints the table for MUTANTS.md and nothing else. */
  readonly markdown?: boolean
  readonly jobs?: number
}

/** Takes out every guard in turn; resolves with the exit code: 0 when all were missed. */
export async function runMutants({ quick, name, ...options }: MutantOptions): Promise<number> {
  const say = (text: string): void => void process.stdout.write(`${text}\n`)
  const chosen = mutants.filter((one) => (name === undefined ? one.quick || !quick : one.name === name))
  if (chosen.length === 0) throw new RangeError(`there is no mutant ${name}`)
  const verdicts = await judgeAll(chosen, {
    jobs: options.jobs ?? availableParallelism(),
    withSeeds: !quick,
    onVerdict: (verdict) => {
      if (!options.markdown) say(describe(verdict))
    },
  })
  const survivors = verdicts.filter(({ isKilled }) => !isKilled)
  if (options.markdown) say(markdown(verdicts))
  const crashes = verdicts.flatMap(({ trials }) => trials.filter(({ crash }) => crash !== null))
  const names = survivors.map(({ mutant }) => mutant.name)
  const killed = verdicts.length - survivors.length
  if (!options.markdown)
    say(JSON.stringify({ mutants: verdicts.length, killed, survivors: names, violations: crashes.length }))
  return survivors.length > 0 ? 1 : 0
}

function describe(verdict: Verdict): string {
  const { mutant, trials, isKilled } = verdict
  if (!isKilled) return [`SURVIVED ${mutant.name} (${mutant.rule})`, ...survival(verdict)].join('\n    ')
  const found = trials.map(({ by, seeds, violations: [first] }) => `${seeds > 0 ? `${seeds} ${by}` : by}: ${first}`)
  return [`caught ${mutant.name} (${mutant.rule})`, ...found].join('\n    ')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      mutant: { type: 'string' },
      markdown: { type: 'boolean', default: false },
      jobs: { type: 'string' },
    },
  })
  const { quick, mutant, jobs } = values
  process.exitCode = await runMutants({
    quick,
    markdown: values.markdown,
    ...(mutant !== undefined && { name: mutant }),
    ...(jobs !== undefined && { jobs: Number(jobs) }),
  })
}

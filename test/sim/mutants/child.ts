import { writeSync } from 'node:fs'
import { mutants } from './catalogue.ts'
import type { Mutant } from './mutant.ts'
import { plant } from './plant.ts'
import { Findings } from './scenario.ts'
import { foreseen, SEEDS, seedsOf, type Trial } from './trial.ts'

/*
 * One trial in a process of its own: `child.ts <mutant> <scenario or "seeds">`. What it found is the last line on stdout.
 * Nothing of the production code may be loaded before the mutant is planted.
 */

const [name, by = ''] = process.argv.slice(2)
const mutant = mutants.find((one) => one.name === name)
if (!mutant) throw new Error(`there is no mutant ${name}`)
const isLoaded = plant(mutant)

const findings = new Findings()
const { violations } = findings
let seed: number | null = null
let crash: string | null = 'never ended'
process.once('uncaughtException', tell)
process.once('exit', report)
try {
  if (by === SEEDS) await trySeeds(mutant)
  else await tryScenario()
  crash = null
} catch (error) {
  tell(error)
}
process.exit(0)

function tell(error: unknown): void {
  crash = error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function report(): void {
  const trial: Trial = { by, isPlanted: isLoaded(), violations, seed, crash }
  writeSync(1, `\n${JSON.stringify(trial)}\n`)
}

async function tryScenario(): Promise<void> {
  const { scenarios } = await import('./scenarios.ts')
  const scenario = scenarios.find(({ id }) => id === by)
  if (!scenario) throw new Error(`there is no scenario ${by}`)
  await scenario.run(findings)
}

async function trySeeds(of: Mutant): Promise<void> {
  for (seed of seedsOf(of)) {
    violations.push(...(await of.play(seed)))
    if (foreseen(of, violations).length > 0) return
  }
}

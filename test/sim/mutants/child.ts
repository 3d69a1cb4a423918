import { writeSync } from 'node:fs'
import { mutants } from './catalogue.ts'
import { plant } from './plant.ts'
import { Findings } from './scenario.ts'
import { SEEDS, type Trial } from './trial.ts'

/*
 * One trial in a process of its own: `child.ts <mutant or -> <scenario or "seeds"> [first seed] [count]`. What it found
 * is the last line on stdout. Nothing of the production code may be loaded before the mutant is planted.
 */

const [name = '-', by = '', firstSeed = '1', count = '1'] = process.argv.slice(2)

const mutant = name === '-' ? undefined : mutants.find((one) => one.name === name)
if (name !== '-' && !mutant) throw new Error(`there is no mutant ${name}`)
const isLoaded = mutant ? plant(mutant) : () => true

const findings = new Findings()
const { violations } = findings
let seeds = 0
let crash: string | null = 'never ended'
process.once('uncaughtException', tell)
process.once('exit', report)
try {
  if (by === SEEDS) await trySeeds(Number(firstSeed), Number(count))
  else await tryScenario(by)
  crash = null
} catch (error) {
  tell(error)
}
process.exit(0)

function tell(error: unknown): void {
  crash = error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function report(): void {
  const trial: Trial = { mutant: mutant?.name ?? null, by, isPlanted: isLoaded(), violations, seeds, crash }
  writeSync(1, `\n${JSON.stringify(trial)}\n`)
}

async function tryScenario(id: string): Promise<void> {
  const { scenarios } = await import('./scenarios.ts')
  const scenario = scenarios.find((one) => one.id === id)
  if (!scenario) throw new Error(`there is no scenario ${id}`)
  await scenario.run(findings)
}

async function trySeeds(first: number, budget: number): Promise<void> {
  const { runSeed } = await import('../run-seed.ts')
  while (seeds < budget && violations.length === 0) {
    violations.push(...(await runSeed(first + seeds)).violations)
    seeds += 1
  }
}

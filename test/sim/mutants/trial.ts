import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutant.ts'

/** What one process without the guard found: that of a scenario, or of random schedules. */
export type Trial = {
  readonly by: string
  /** Whether the file without the guard was loaded at all. */
  readonly isPlanted: boolean
  readonly violations: readonly string[]
  /** The random schedule that found it, or the last that was tried. */
  readonly seed: number | null
  /** What broke in another way than by a violation: no mutant counts as caught by that. */
  readonly crash: string | null
}

export const SEEDS = 'seeds'

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))
/** No scenario and no schedule takes a tenth of it; one that hangs has not caught anything. */
const TRIAL_MS = 180_000
const SEED_MS = 15_000

/** Random schedules of the mutant, in the order in which they are tried. */
export const seedsOf = ({ seeds = [] }: Mutant): readonly number[] =>
  typeof seeds === 'number' ? Array.from({ length: seeds }, (_, i) => i + 1) : seeds

/** Runs a scenario, or random schedules until one finds the mutant, in a process without the guard. */
export async function runTrial(mutant: Mutant, by: string): Promise<Trial> {
  const limitMs = TRIAL_MS + (by === SEEDS ? seedsOf(mutant).length * SEED_MS : 0)
  const child = spawn(process.execPath, [CHILD, mutant.name, by], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
    // Hundreds of processes load the same modules. What is cached is checked against the text that was loaded.
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'rookery-mutants') },
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const last = stdout.trimEnd().split('\n').at(-1)
  if (last?.startsWith('{')) return JSON.parse(last) as Trial
  const crash = `no result within ${limitMs} ms: ${stderr.slice(-2000)}`
  return { by, isPlanted: false, violations: [], seed: null, crash }
}

/** The rules among those that were violated that show that the mutant is missed for the reason that was foreseen. */
export const foreseen = ({ expects }: Mutant, violations: readonly string[]): string[] =>
  [...new Set(violations.map(ruleOf))].filter((rule) => expects.includes(rule))

const ruleOf = (violation: string): string => violation.slice(1, violation.indexOf(']'))

export const isCaught = (mutant: Mutant, { isPlanted, violations }: Trial): boolean =>
  isPlanted && foreseen(mutant, violations).length > 0

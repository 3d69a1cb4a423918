import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutant.ts'
import { SEEDS, type Trial } from './trial.ts'

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))
/** No scenario takes a tenth of it; one that hangs has not caught anything. */
const SCENARIO_MS = 60_000
const SEED_MS = 60_000

/** Runs a scenario, or random schedules until one is violated, in a process without the guard (or with all of them). */
export async function runTrial(mutant: Mutant | undefined, by: string, seeds = { first: 1, count: 1 }): Promise<Trial> {
  const limitMs = by === SEEDS ? SEED_MS + seeds.count * 15_000 : SCENARIO_MS
  const args = [CHILD, mutant?.name ?? '-', by, String(seeds.first), String(seeds.count)]
  const { stdout, stderr } = await run(args, limitMs)
  const last = stdout.trimEnd().split('\n').at(-1)
  if (last?.startsWith('{')) return JSON.parse(last) as Trial
  const crash = `no result within ${limitMs} ms: ${stderr.slice(-2000)}`
  return { mutant: mutant?.name ?? null, by, isPlanted: false, violations: [], seeds: 0, crash }
}

async function run(args: readonly string[], limitMs: number): Promise<{ stdout: string; stderr: string }> {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
    // Hundreds of processes load the same modules. What is cached is checked against the text that was loaded.
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'rookery-mutants') },
  })
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
  await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject))
  return { stdout: stdout(), stderr: stderr() }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: string[] = []
  stream.setEncoding('utf8').on('data', (chunk: string) => chunks.push(chunk))
  return () => chunks.join('')
}

const RULE = /^\[([^\]]+)\]/

/** Whether a trial shows that the mutant is missed for the reason that was foreseen. */
export const isCaught = ({ expects }: Mutant, { isPlanted, violations }: Trial): boolean =>
  isPlanted && violations.some((violation) => expects.includes(RULE.exec(violation)?.[1] ?? ''))

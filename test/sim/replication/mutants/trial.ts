import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Mutant } from './mutants.ts'

export type Trial = { readonly seed?: number; readonly violation?: string; readonly crash?: string }

const CHILD = fileURLToPath(new URL('child.ts', import.meta.url))
/** A schedule takes about a second; a mutant may keep one from ending early. */
const SEED_MS_MAX = 180_000

/** Runs seeds without the guard, in a process of its own, until one of them shows it. */
export async function tryMutant({ name }: Mutant, seeds: readonly number[]): Promise<Trial> {
  const timeout = SEED_MS_MAX * seeds.length
  const child = spawn(process.execPath, [CHILD, name, ...seeds.map(String)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout,
    killSignal: 'SIGKILL',
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject))
  const last = stdout.trimEnd().split('\n').at(-1) ?? ''
  return last.startsWith('{')
    ? (JSON.parse(last) as Trial)
    : { crash: `no result within ${timeout} ms: ${stderr.slice(-1000)}` }
}

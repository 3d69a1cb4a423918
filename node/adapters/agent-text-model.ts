import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { childEnvironment } from '../hosts/child-environment.ts'
import { ModelError } from '../ports/model-error.ts'
import type { Completion, Prompt, TextModel } from '../ports/text-model.ts'

const TIMEOUT_MS = 180_000
const OUTPUT_BYTES_MAX = 1024 * 1024

const Reply = z.object({
  is_error: z.boolean(),
  result: z.string().optional(),
  usage: z.record(z.string(), z.unknown()).optional(),
})

/**
 * Claude Code in print mode, with its owner's account. What it is given was written by others, so it has no tools, no MCP
 * servers, no settings but its owner's, and an empty folder to be in.
 */
export function createAgentTextModel(file: string, environment: NodeJS.ProcessEnv): TextModel {
  return {
    name: 'claude (agent CLI)',
    async complete(prompt, signal) {
      const folder = await mkdtemp(join(tmpdir(), 'rookery-model-'))
      try {
        return completionOf(await run(file, { prompt, signal, folder, environment }))
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}

const ARGV = [
  '-p',
  '--output-format',
  'json',
  '--tools',
  '',
  '--strict-mcp-config',
  '--setting-sources',
  'user',
  '--no-session-persistence',
]

type Run = {
  readonly prompt: Prompt
  readonly signal: AbortSignal
  readonly folder: string
  readonly environment: NodeJS.ProcessEnv
}

function run(file: string, { prompt, signal, folder, environment }: Run): Promise<string> {
  const options = {
    cwd: folder,
    env: childEnvironment(environment),
    signal,
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: OUTPUT_BYTES_MAX,
  } as const
  return new Promise((resolve, reject) => {
    const child = execFile(file, [...ARGV, '--system-prompt', prompt.instruction], options, (error, stdout) => {
      // It ends with 1 when it says in its answer what is wrong.
      if (error === null || stdout.startsWith('{')) return resolve(stdout)
      if (signal.aborted) return reject(error)
      const why = error.killed === true ? 'took too long' : 'failed'
      reject(new ModelError('later', `The agent CLI claude ${why}.`, { cause: error }))
    })
    child.stdin?.on('error', () => undefined) // one that ends without reading; its exit says why
    child.stdin?.end(prompt.material)
  })
}

function completionOf(stdout: string): Completion {
  let answer: unknown
  try {
    answer = JSON.parse(stdout)
  } catch {
    answer = undefined
  }
  const parsed = Reply.safeParse(answer)
  const { is_error: isError = true, result = '', usage = {} } = parsed.data ?? {}
  if (isError || result.trim() === '')
    throw new ModelError('later', `The agent CLI claude gave no answer. Try it by hand: claude -p hello`)
  const counts = Object.entries(usage).flatMap(([name, count]) =>
    name.endsWith('_tokens') && typeof count === 'number' ? [count] : [],
  )
  return { text: result, tokens: counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0) }
}

import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createClaudeTranscript } from '../../../../node/hosts/agents/claude-transcript.ts'
import { agentStream } from '../../../support/agent-stand-ins.ts'

const ID = '22222222-2222-4222-8222-222222222222'
let home: string
beforeEach(() => void (home = mkdtempSync(join(tmpdir(), 'rk-home-'))))
afterEach(() => rmSync(home, { recursive: true, force: true }))

const path = (...parts: string[]): string => join(home, '.claude', 'projects', ...parts)
function write(to: string, text: string): void {
  mkdirSync(dirname(to), { recursive: true })
  writeFileSync(to, text)
}
const answer = (id: string, output: number, more: object = {}): string =>
  `${JSON.stringify({ type: 'assistant', message: { id, usage: { input_tokens: 10, output_tokens: output, ...more } } })}\n`
const used = (inputTokens: number, outputTokens: number) => ({ inputTokens, outputTokens, costUsd: null })

it('reads what Claude Code 2.1 noted of a session of two answers', async () => {
  write(path('-home-me-app', `${ID}.jsonl`), agentStream('claude-transcript'))
  expect(await createClaudeTranscript(home, ID).check()).toEqual(used(42, 10))
})

it('knows nothing while there is no transcript of just this session', async () => {
  const transcript = createClaudeTranscript(home, ID)
  expect(await transcript.check()).toBe(null)
  write(path('-home-me-app', '33333333-3333-4333-8333-333333333333.jsonl'), agentStream('claude-transcript'))
  expect(await transcript.check()).toBe(null)
  write(path('-home-me-app', `${ID}.jsonl`), '{"type":"mode"}\n')
  expect(await transcript.check()).toBe(null)
})

it('goes on where it was, and counts an answer once however often it is noted', async () => {
  const file = path('p', `${ID}.jsonl`)
  write(file, answer('a', 1))
  const transcript = createClaudeTranscript(home, ID)
  expect(await transcript.check()).toEqual(used(10, 1))
  appendFileSync(file, answer('a', 5) + answer('b', 2, { cache_read_input_tokens: 100 }).slice(0, 30))
  expect(await transcript.check()).toEqual(used(10, 5))
  appendFileSync(file, answer('b', 2, { cache_read_input_tokens: 100 }).slice(30))
  expect(await transcript.check()).toEqual(used(120, 7))
})

it('counts the agents that the session started itself', async () => {
  write(path('p', `${ID}.jsonl`), answer('a', 1))
  write(path('p', ID, 'subagents', 'agent-1.jsonl'), answer('b', 2))
  write(path('p', ID, 'subagents', 'workflows', 'x', 'agent-2.jsonl'), answer('c', 3))
  expect(await createClaudeTranscript(home, ID).check()).toEqual(used(30, 6))
})

it('leaves out lines that make no sense', async () => {
  const odd = ['', 'torn {', '[]', '{"type":"assistant"}', answer('', 1).trim(), answer('x', -1).trim()].join('\n')
  write(path('p', `${ID}.jsonl`), `${odd}\n${answer('a', 1)}`)
  expect(await createClaudeTranscript(home, ID).check()).toEqual(used(10, 1))
})

it('reads no link, no pipe and no folder in the place of a transcript', async () => {
  write(join(home, 'elsewhere'), answer('a', 1))
  mkdirSync(path('p'), { recursive: true })
  symlinkSync(join(home, 'elsewhere'), path('p', `${ID}.jsonl`))
  expect(await createClaudeTranscript(home, ID).check()).toBe(null)
  rmSync(path('p', `${ID}.jsonl`))
  execFileSync('mkfifo', [path('p', `${ID}.jsonl`)])
  expect(await createClaudeTranscript(home, ID).check()).toBe(null)
  rmSync(path('p', `${ID}.jsonl`))
  mkdirSync(path('p', `${ID}.jsonl`))
  expect(await createClaudeTranscript(home, ID).check()).toBe(null)
})

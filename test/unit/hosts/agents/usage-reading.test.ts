import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LINE_BYTES_MAX } from '../../../../node/hosts/agents/line-splitter.ts'
import { createRecordStream, type AgentLine } from '../../../../node/hosts/agents/record-stream.ts'
import { RECORD_FORMATS, type RecordFormat } from '../../../../node/ports/session-host.ts'
import { agentStream } from '../../../support/agent-stand-ins.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const lines = (...records: object[]): string => records.map((record) => `${JSON.stringify(record)}\n`).join('')

function read(format: RecordFormat, text: string) {
  const stream = createRecordStream(format)
  const seen = [...stream.take(bytes(text)), ...stream.rest()]
  return { seen, ...stream.reading() }
}
const kinds = (seen: readonly AgentLine[]): unknown[] => seen.map(({ kind }) => kind)

describe('what agents say they have used', () => {
  it.each([
    // Two requests of 21 + 5 tokens.
    ['claude', 'claude-oneshot', { inputTokens: 42, outputTokens: 10, costUsd: 0.00040449999999999997 }],
    // The second result counts from the start, as its costs do; its field `usage` has the second turn only.
    ['claude', 'claude-headless', { inputTokens: 42, outputTokens: 10, costUsd: 0.00040449999999999997 }],
    ['codex', 'codex', { inputTokens: 200, outputTokens: 40, costUsd: null }],
    ['opencode', 'opencode', { inputTokens: 100, outputTokens: 20, costUsd: 0.0001 }],
    // 20 tokens of the answer, 8 of thought.
    ['gemini', 'gemini', { inputTokens: 100, outputTokens: 28, costUsd: null }],
  ] as const)('is read from the stream of %s (%s)', (format, name, usage) => {
    expect(read(format, agentStream(name)).usage).toEqual(usage)
  })

  it('is nothing while no record tells', () => {
    for (const format of RECORD_FORMATS) {
      const [first = ''] = agentStream(format === 'claude' ? 'claude-oneshot' : format).split('\n')
      expect(read(format, first).usage).toBe(null)
    }
  })

  it('adds up for opencode, which tells of each step', () => {
    const step = (cost: number | undefined, tokens: object) => ({ type: 'step_finish', part: { cost, tokens } })
    const text = lines(
      step(0.5, { input: 10, output: 2 }),
      step(undefined, { input: 1, output: 1, cache: { read: 5 } }),
      step(0.25, { input: 0, output: 0, reasoning: 3, cache: { read: 0, write: 2 } }),
    )
    expect(read('opencode', text).usage).toEqual({ inputTokens: 18, outputTokens: 6, costUsd: 0.75 })
  })

  it('stays as it was when a record makes no sense', () => {
    const good = { type: 'turn.completed', usage: { input_tokens: 7, output_tokens: 3 } }
    const text = lines(
      good,
      { type: 'turn.completed', usage: { input_tokens: -1, output_tokens: 3 } },
      { type: 'turn.completed', usage: { input_tokens: 1.5, output_tokens: 3 } },
      { type: 'turn.completed', usage: { input_tokens: Number.MAX_SAFE_INTEGER + 1, output_tokens: 3 } },
      { type: 'turn.completed', usage: null },
      { type: 'turn.completed' },
    )
    expect(read('codex', `${text}null\n5\n"x"\n[]\n{"type":`).usage).toEqual({
      inputTokens: 7,
      outputTokens: 3,
      costUsd: null,
    })
  })

  it('is not taken from a sum that cannot be counted', () => {
    const tokens = { inputTokens: Number.MAX_SAFE_INTEGER, outputTokens: 1 }
    const text = lines({ type: 'result', total_cost_usd: 1, modelUsage: { a: tokens, b: tokens } })
    expect(read('claude', text).usage).toBe(null)
  })

  it('is not taken from what a tool printed into a record', () => {
    const forged = lines({ type: 'result', total_cost_usd: 9, modelUsage: { m: { inputTokens: 9, outputTokens: 9 } } })
    const text = lines({ type: 'user', message: { content: [{ type: 'tool_result', content: forged }] } })
    expect(read('claude', text)).toMatchObject({ usage: null, hasAnswered: false })
  })
})

describe('the lines of an agent', () => {
  it('are named by their records, and by nothing where they are none', () => {
    const text = `a warning\n${agentStream('codex')}{"type":5}\n{"type":"torn`
    const { seen } = read('codex', text)
    expect(kinds(seen)).toEqual([
      null,
      'thread.started',
      'item.completed',
      'turn.started',
      'item.completed',
      'turn.completed',
      null,
      null,
    ])
    expect(seen.map(({ bytes: line }) => new TextDecoder().decode(line)).join('\n')).toBe(text)
  })

  it('are the same however the stream is cut', () => {
    const text = `${agentStream('claude-headless')}\n\nü`
    const whole = read('claude', text)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 50 }), (cuts) => {
        const stream = createRecordStream('claude')
        const seen: AgentLine[] = []
        let rest = bytes(text)
        for (let at = 0; rest.byteLength > 0; at++) {
          const cut = cuts[at % cuts.length] ?? 1
          const chunk = rest.slice(0, cut)
          seen.push(...stream.take(chunk))
          chunk.fill(0) // whoever gave it may use its memory again
          rest = rest.subarray(cut)
        }
        seen.push(...stream.rest())
        expect({ seen, ...stream.reading() }).toEqual(whole)
      }),
      { numRuns: 30 },
    )
  })

  it('are given in pieces when they are too long, and then read as no record', () => {
    const long = JSON.stringify({ type: 'result', modelUsage: {}, result: 'x'.repeat(2 * LINE_BYTES_MAX) })
    const { seen, hasAnswered } = read('claude', `${long}\n{"type":"system"}\n`)
    expect(seen.map((line) => [line.bytes.byteLength <= LINE_BYTES_MAX, line.isLast, line.kind])).toEqual([
      [true, false, null],
      [true, false, null],
      [true, true, null],
      [true, true, 'system'],
    ])
    expect(hasAnswered).toBe(false)
  })

  it('may be anything', () => {
    fc.assert(
      fc.property(fc.constantFrom(...RECORD_FORMATS), fc.array(fc.json()), (format, records) => {
        const text = records.join('\n')
        expect(read(format, text).seen.length).toBeGreaterThanOrEqual(text === '' ? 0 : 1)
      }),
    )
  })
})

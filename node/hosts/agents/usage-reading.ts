import { z } from 'zod'
import { SessionUsage } from '../../../crdt/session.ts'
import type { RecordFormat } from '../../ports/session-host.ts'

/** What the records of an agent have told so far. */
export type Reading = {
  readonly usage: SessionUsage | null
  /** It has answered what it was asked. */
  readonly hasAnswered: boolean
}

export const NOTHING_READ: Reading = { usage: null, hasAnswered: false }

/**
 * Goes on reading with one more record. Whatever the record is, nothing is thrown: what is not known, or makes no
 * sense, changes nothing. The agents' programs, not we, define these records.
 */
export function readRecord(format: RecordFormat, before: Reading, record: unknown): Reading {
  return READERS[format](before, record)
}

const count = z.int().min(0)
const cost = z.number().min(0)

/** Claude Code, `-p --output-format stream-json`: both figures count from the start of the process. */
const ClaudeResult = z.object({
  type: z.literal('result'),
  total_cost_usd: cost.optional(),
  modelUsage: z.record(
    z.string(),
    z.object({
      inputTokens: count,
      outputTokens: count,
      cacheReadInputTokens: count.default(0),
      cacheCreationInputTokens: count.default(0),
    }),
  ),
})
const ClaudeTurn = z.object({ type: z.enum(['assistant', 'user', 'stream_event', 'result']) })

function readClaude(before: Reading, record: unknown): Reading {
  const turn = ClaudeTurn.safeParse(record).data
  if (!turn) return before
  if (turn.type !== 'result') return { ...before, hasAnswered: false }
  const result = ClaudeResult.safeParse(record).data
  const models = Object.values(result?.modelUsage ?? {})
  // Without a model it was not asked anything that costs: a command such as `/help`.
  if (!result || models.length === 0) return { ...before, hasAnswered: true }
  const usage = usageOf({
    inputTokens: sum(models, (m) => m.inputTokens + m.cacheReadInputTokens + m.cacheCreationInputTokens),
    outputTokens: sum(models, (m) => m.outputTokens),
    costUsd: result.total_cost_usd ?? null,
  })
  return { usage: usage ?? before.usage, hasAnswered: true }
}

/** Codex, `exec --json`: of the whole thread; what was cached is part of the input, what was reasoned of the output. */
const CodexTurn = z.object({
  type: z.literal('turn.completed'),
  usage: z.object({ input_tokens: count, output_tokens: count }),
})

function readCodex(before: Reading, record: unknown): Reading {
  const used = CodexTurn.safeParse(record).data?.usage
  if (!used) return before
  const usage = usageOf({ inputTokens: used.input_tokens, outputTokens: used.output_tokens, costUsd: null })
  return { ...before, usage: usage ?? before.usage }
}

/** opencode, `run --format json`: of one step; the five counts do not overlap. */
const OpencodeStep = z.object({
  type: z.literal('step_finish'),
  part: z.object({
    cost: cost.nullish(),
    tokens: z.object({
      input: count,
      output: count,
      reasoning: count.default(0),
      cache: z.object({ read: count.default(0), write: count.default(0) }).prefault({}),
    }),
  }),
})

function readOpencode(before: Reading, record: unknown): Reading {
  const part = OpencodeStep.safeParse(record).data?.part
  if (!part) return before
  const { tokens } = part
  const costs = [before.usage?.costUsd, part.cost].filter((one) => one !== undefined && one !== null)
  const usage = usageOf({
    inputTokens: (before.usage?.inputTokens ?? 0) + tokens.input + tokens.cache.read + tokens.cache.write,
    outputTokens: (before.usage?.outputTokens ?? 0) + tokens.output + tokens.reasoning,
    costUsd: costs.length === 0 ? null : sum(costs, (one) => one),
  })
  return { ...before, usage: usage ?? before.usage }
}

/** Gemini CLI, `--output-format stream-json`: of the whole run; only the total has what was thought. */
const GeminiResult = z.object({
  type: z.literal('result'),
  stats: z.object({ total_tokens: count, input_tokens: count, output_tokens: count }),
})

function readGemini(before: Reading, record: unknown): Reading {
  const stats = GeminiResult.safeParse(record).data?.stats
  if (!stats) return before
  const usage = usageOf({
    inputTokens: stats.input_tokens,
    outputTokens: Math.max(stats.output_tokens, stats.total_tokens - stats.input_tokens),
    costUsd: null,
  })
  return { ...before, usage: usage ?? before.usage }
}

const READERS: Readonly<Record<RecordFormat, (before: Reading, record: unknown) => Reading>> = {
  claude: readClaude,
  codex: readCodex,
  opencode: readOpencode,
  gemini: readGemini,
}

/** Undefined when the sums are beyond what can be counted. */
const usageOf = (usage: SessionUsage): SessionUsage | undefined => SessionUsage.safeParse(usage).data

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}

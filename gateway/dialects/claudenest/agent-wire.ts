import { z } from 'zod'
import { AgentFacts } from '../../../crdt/bridge-records.ts'
import { SessionId } from '../../../crdt/ids.ts'
import { PROMPT_CHARS_MAX, SESSION_STATUSES } from '../../../crdt/session.ts'
import type { AgentOrder, AgentReport } from '../../../node/ports/agent-link.ts'
import { renameAliases } from '../../http/validation.ts'

/*
 * What ClaudeNest's agents say and understand on `/ws/agent`. Their document only names the message types; the fields are
 * those that its agents use (see README.md).
 */

/** What one frame of an agent means. */
export type AgentMessage =
  | { readonly kind: 'report'; readonly report: AgentReport }
  | { readonly kind: 'facts'; readonly facts: AgentFacts }
  | { readonly kind: 'ping' }
  /** Known and of no use to us. */
  | { readonly kind: 'passed over' }
  /** `type` is the frame's own, where it has one. */
  | { readonly kind: 'unknown'; readonly type: string }
  | { readonly kind: 'bad'; readonly type: string | null; readonly problem: string }

const MESSAGE_CHARS_MAX = 2048

const Frame = z.object({ type: z.string().min(1).max(64), payload: z.unknown().optional() })

const message = z
  .string()
  .transform((text) => text.slice(0, MESSAGE_CHARS_MAX))
  .nullish()

const Output = z.object({ sessionId: SessionId, type: z.string().max(16).nullish(), data: z.string() })
const Status = z.object({ sessionId: SessionId, status: z.enum(SESSION_STATUSES).nullish(), error: message })
const Exited = z.object({ sessionId: SessionId, exitCode: z.int().min(-0x8000_0000).max(0xffff_ffff).nullish() })
const Problem = z.object({
  originalType: z.string().max(64).nullish(),
  sessionId: SessionId.nullish(),
  code: z.string().max(64).nullish(),
  message,
})

/** What does not fit is left out: the rest is of use all the same. */
const line = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^\P{Cc}*$/u)
    .optional()
    .catch(undefined)
const short = line(512)
const Info = z.object({
  hostname: short,
  platform: short,
  arch: short,
  nodeVersion: short,
  agentVersion: short,
  claudeVersion: short,
  claudePath: line(4096),
  maxSessions: z.int().min(1).max(1000).optional().catch(undefined),
})

const ALIASES = { session_id: 'sessionId', exit_code: 'exitCode' } as const

/** What agents tell that the mesh knows from elsewhere, or has nothing to do with. */
const PASSED_OVER =
  /^(pong|session:(info|list|recovered)|machine:status|skills?:|mcp:|commands:|context:|task:|file:|project:|decompose:|orchestrator:|oauth:)/

/** Never throws, whatever the text. */
export function readAgentFrame(text: string): AgentMessage {
  const frame = Frame.safeParse(parseJson(text))
  if (!frame.success)
    return { kind: 'bad', type: null, problem: 'A frame is JSON: {"type", "payload", "timestamp", "id"}.' }
  const { type } = frame.data
  const payload = renameAliases(frame.data.payload ?? {}, ALIASES)
  switch (type) {
    case 'ping':
      return { kind: 'ping' }
    case 'session:output':
      return parsed(type, Output, payload, ({ sessionId, type: stream, data }) =>
        // Agents of this kind may tell of their own state in the stream; it is no output of the program.
        stream === 'status' ? NOTHING : report({ type: 'output', id: sessionId, text: data, stream: streamOf(stream) }),
      )
    case 'session:status':
      return parsed(type, Status, payload, ({ sessionId, status, error }) =>
        status ? report({ type: 'status', id: sessionId, status, problem: error ?? null }) : NOTHING,
      )
    case 'session:exited':
      return parsed(type, Exited, payload, ({ sessionId, exitCode }) =>
        report({ type: 'exited', id: sessionId, exitCode: exitCode ?? null }),
      )
    case 'error':
      return parsed(type, Problem, payload, problemReport)
    case 'machine:info':
      return parsed(type, Info, payload, ({ agentVersion, ...facts }) => ({
        kind: 'facts',
        facts: AgentFacts.parse(withoutUndefined({ ...facts, rookeryVersion: agentVersion })),
      }))
  }
  return PASSED_OVER.test(type) ? NOTHING : { kind: 'unknown', type }
}

const NAMES = {
  create: 'session:create',
  input: 'session:input',
  resize: 'session:resize',
  terminate: 'session:terminate',
  inquire: 'session:get_info',
} as const satisfies Record<AgentOrder['type'], string>

/** How an order is put, as `type` and `payload` of a frame. */
export const agentFrame = (order: AgentOrder): { readonly type: string; readonly payload: object } => ({
  type: NAMES[order.type],
  payload: payloadOf(order),
})

function payloadOf(order: AgentOrder): object {
  const { id: sessionId } = order
  if (order.type === 'create') return createPayload(order)
  if (order.type === 'input') return { sessionId, data: order.text }
  if (order.type === 'resize') return { sessionId, cols: order.size.cols, rows: order.size.rows }
  if (order.type === 'terminate') return { sessionId, force: order.force }
  return { sessionId }
}

function createPayload(order: Extract<AgentOrder, { type: 'create' }>): object {
  const { id, mode, agent, projectPath, prompt, size } = order
  return {
    sessionId: id,
    // Their name for a shell instead of claude.
    mode: agent === 'shell' ? 'bash' : mode,
    ptySize: { cols: size.cols, rows: size.rows },
    ...(projectPath !== null && { projectPath }),
    ...(prompt !== null && { initialPrompt: prompt.slice(0, PROMPT_CHARS_MAX) }),
  }
}

const orderNamed = (name: string | null | undefined): AgentOrder['type'] | undefined =>
  Object.entries(NAMES).find(([, known]) => known === name)?.[0] as AgentOrder['type'] | undefined

function problemReport({ originalType, sessionId, code, message }: z.infer<typeof Problem>): AgentMessage {
  const order = orderNamed(originalType)
  if (!order || (order !== 'create' && !sessionId)) return NOTHING
  return report({
    type: 'refused',
    order,
    id: sessionId ?? undefined,
    // Of most refusals the agent gives words only.
    isUnknown: code === 'SESSION_NOT_FOUND' || /\bnot found\b/i.test(message ?? ''),
    message: message ?? code ?? 'Its agent gave no reason.',
  })
}

const NOTHING: AgentMessage = { kind: 'passed over' }
const report = (content: AgentReport): AgentMessage => ({ kind: 'report', report: content })
const streamOf = (type: string | null | undefined): 'output' | 'error' => (type === 'error' ? 'error' : 'output')

function parsed<T>(
  type: string,
  schema: z.ZodType<T>,
  payload: unknown,
  use: (content: T) => AgentMessage,
): AgentMessage {
  const content = schema.safeParse(payload)
  if (content.success) return use(content.data)
  const issue = content.error.issues[0]
  return { kind: 'bad', type, problem: `payload.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not valid'}` }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const withoutUndefined = (content: object): object =>
  Object.fromEntries(Object.entries(content).filter(([, value]) => value !== undefined))

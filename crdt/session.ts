import { z } from 'zod'
import type { MachineId, PeerId, SessionId } from './ids.ts'

export const SESSION_MODES = ['interactive', 'headless', 'oneshot'] as const
export type SessionMode = (typeof SESSION_MODES)[number]
export const SESSION_STATUSES = [
  'created',
  'starting',
  'running',
  'waiting_input',
  'completed',
  'error',
  'terminated',
] as const
export type SessionStatus = (typeof SESSION_STATUSES)[number]

export const hasEnded = (status: SessionStatus): boolean =>
  status === 'completed' || status === 'error' || status === 'terminated'

export type PtySize = { readonly cols: number; readonly rows: number }
export const PTY_COLS = { min: 20, max: 500, default: 120 } as const
export const PTY_ROWS = { min: 10, max: 200, default: 40 } as const

/** Of an initial prompt: as UTF-8 it still fits one argument of a program (128 kB on Linux). */
export const PROMPT_CHARS_MAX = 32 * 1024

const tokens = z.int().min(0)

/** What an agent says that it has used since its session began: its own figures, never an estimate of ours. */
export const SessionUsage = z.object({
  /** With what was read from and written to a cache. */
  inputTokens: tokens,
  /** With what was thought and not shown. */
  outputTokens: tokens,
  /** US dollars by the agent's own price list; null when it says nothing of costs. */
  costUsd: z.number().min(0).max(1e9).nullable(),
})
export type SessionUsage = z.infer<typeof SessionUsage>

/** A terminal (or headless agent) on one machine; outlives gateways, nodes and browser tabs. */
export type Session = {
  readonly id: SessionId
  readonly machineId: MachineId
  readonly node: PeerId
  readonly mode: SessionMode
  /** `shell`, or the agent CLI that runs (`claude`, `codex`, …). */
  readonly agent: string
  readonly projectPath: string
  readonly status: SessionStatus
  readonly ptySize: PtySize
  readonly createdAt: string
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly exitCode: number | null
  readonly createdBy: string
  /** Why the status is `error`, for a person. */
  readonly problem: string | null
  /** Null while the agent has said nothing of it, and for programs that never do. */
  readonly usage: SessionUsage | null
}

export type SessionInput = {
  readonly mode: SessionMode
  /** Undefined: the machine's own agent CLI; `shell` is a login shell. */
  readonly agent?: string
  /** Undefined: the home directory. */
  readonly projectPath?: string
  readonly initialPrompt?: string
  readonly ptySize?: PtySize
}

export const SESSION_LOG_TYPES = ['input', 'output', 'error'] as const
export type SessionLogType = (typeof SESSION_LOG_TYPES)[number]
export type SessionLogEntry = {
  readonly id: string
  readonly type: SessionLogType
  readonly data: string
  readonly createdAt: string
  readonly metadata: Readonly<Record<string, unknown>>
}

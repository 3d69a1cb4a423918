import { join } from 'node:path'
import { z } from 'zod'
import { PeerId, SessionId } from '../../crdt/ids.ts'
import { SESSION_MODES } from '../../crdt/session.ts'
import { ProgramState, Size } from '../../protocols/session-stream.ts'
import { RECORD_FORMATS } from '../ports/session-host.ts'
import { readJson, writeJson } from './private-json.ts'

/** A viewer that acknowledges nothing for so long while output waits is cut off. */
export const SLOW_VIEWER_MS = 10_000
/** How long a host whose program has ended waits for somebody to ask for the rest. */
export const LINGER_MS = 10 * 60_000
/** Between SIGHUP and SIGKILL: enough for a shell to save its history and an agent its session. */
export const KILL_GRACE_MS = 2000

export const HostTiming = z.strictObject({
  slowMs: z.int().positive(),
  lingerMs: z.int().positive(),
  killGraceMs: z.int().positive(),
})
export type HostTiming = z.infer<typeof HostTiming>
export const HOST_TIMING: HostTiming = { slowMs: SLOW_VIEWER_MS, lingerMs: LINGER_MS, killGraceMs: KILL_GRACE_MS }

const text = z.string().max(4096)

/** `spec.json`: what a host is told, the only thing it is told. */
export const HostSpec = z.strictObject({
  v: z.literal(1),
  session: z.strictObject({
    id: SessionId,
    mode: z.enum(SESSION_MODES),
    agent: text,
    projectPath: text,
    program: z.strictObject({
      file: text,
      argv: z.array(z.string().max(128 * 1024)).max(64),
      io: z.enum(['pty', 'pipes']),
      acceptsInput: z.boolean(),
      typed: z
        .string()
        .max(256 * 1024)
        .nullable(),
      // Sessions that an earlier release has started do not say.
      takes: z.enum(['bytes', 'messages']).default('bytes'),
      output: z.enum(RECORD_FORMATS).nullable().default(null),
      hasTranscript: z.boolean().default(false),
    }),
    size: Size,
    createdAt: z.iso.datetime(),
    createdBy: text,
    gateway: PeerId,
  }),
  socket: text,
  timing: HostTiming,
})
export type HostSpec = z.infer<typeof HostSpec>

const Process = z.strictObject({ pid: z.int().positive(), start: z.string() })

/** `state.json`: what a host last wrote about itself; the only thing left when it is gone. */
export const HostState = z.strictObject({
  v: z.literal(1),
  host: Process,
  program: Process.nullable(),
  state: ProgramState,
})
export type HostState = z.infer<typeof HostState>

export const readSpec = (directory: string): HostSpec => HostSpec.parse(readJson(join(directory, 'spec.json')))

export const writeSpec = (directory: string, spec: HostSpec): void => writeJson(join(directory, 'spec.json'), spec)

/** Undefined when there is none: the host never got so far. */
export function readState(directory: string): HostState | undefined {
  try {
    return HostState.parse(readJson(join(directory, 'state.json')))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

export const writeState = (directory: string, state: HostState): void => writeJson(join(directory, 'state.json'), state)

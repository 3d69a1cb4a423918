import type { PeerId, SessionId } from '../../crdt/ids.ts'
import type { Result } from '../../crdt/result.ts'
import type { PtySize, SessionLogEntry, SessionLogType, SessionMode } from '../../crdt/session.ts'
import type { ProgramState } from '../../protocols/session-stream.ts'
import type { Cancel } from './clock.ts'
import type { Channel } from './peer-network.ts'

/** Agents whose records of what they do (and use) can be read. */
export const RECORD_FORMATS = ['claude', 'codex', 'opencode', 'gemini'] as const
export type RecordFormat = (typeof RECORD_FORMATS)[number]

/** What runs: an absolute path and its arguments; no shell ever reads them. */
export type SessionProgram = {
  readonly file: string
  readonly argv: readonly string[]
  /** `pty`: a terminal; `pipes`: standard input, output and error as they are. */
  readonly io: 'pty' | 'pipes'
  /** Without it, a program on pipes reads what is `typed`, and then the end of its input. */
  readonly acceptsInput: boolean
  /** Written as input right after the start. */
  readonly typed: string | null
  /** `messages`: each line that is typed is given to the agent as a JSON message of its own (claude). */
  readonly takes: 'bytes' | 'messages'
  /** Each line of standard output is a JSON record of this agent. */
  readonly output: RecordFormat | null
  /** The agent (claude) keeps a transcript under the session's id, from which usage is read. */
  readonly hasTranscript: boolean
}

/** Everything about a session that is settled when it starts. Durable beside its host, so it survives the node. */
export type SessionSpec = {
  readonly id: SessionId
  readonly mode: SessionMode
  readonly agent: string
  readonly projectPath: string
  readonly program: SessionProgram
  readonly size: PtySize
  readonly createdAt: string
  readonly createdBy: string
  /** The node on whose word the session was started. */
  readonly gateway: PeerId
}

export type HostedSession = { readonly spec: SessionSpec; readonly state: ProgramState }

/** An ordered duplex of frames (see protocols/session-stream.ts), to a host here or on another machine. */
export type FramePipe = Omit<Channel, 'peer'>

/** The session hosts of this machine: one process per session, which outlives this one. */
export interface SessionHosts {
  /** Finds the sessions of earlier processes and connects to those that live. To be called once, before the rest. */
  recover(): Promise<readonly HostedSession[]>
  /** Resolves when the program runs. @errors session_failed */
  start(spec: SessionSpec): Promise<Result<HostedSession>>
  get(id: SessionId): HostedSession | undefined
  list(): readonly HostedSession[]
  /** Told of every change of a session's state, after it. */
  onChange(listener: (session: HostedSession) => void): Cancel
  /** A connection of its own to the host, for one viewer. Rejects when the host is gone. */
  open(id: SessionId): Promise<FramePipe>
  /** @errors session_ended, limit_reached (the program reads nothing) */
  input(id: SessionId, bytes: Uint8Array): Promise<Result<null>>
  /** @errors session_ended */
  resize(id: SessionId, size: PtySize): Promise<Result<null>>
  /** Ends everything the session started; when it resolves no process of it is left. */
  kill(id: SessionId): Promise<void>
  /** The newest entries that fit `bytesMax`, oldest first. */
  logs(
    id: SessionId,
    filter: { readonly limit: number; readonly bytesMax: number; readonly type?: SessionLogType },
  ): Promise<readonly SessionLogEntry[]>
  /** Kills what still runs and deletes everything that is kept of the session. */
  remove(id: SessionId): Promise<void>
  /** Lets go of the hosts; the sessions go on. */
  close(): Promise<void>
}

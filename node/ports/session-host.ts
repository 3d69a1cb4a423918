import type { MachineId, PeerId, SessionId } from '../../crdt/ids.ts'
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

type SettledAtStart = {
  readonly id: SessionId
  readonly mode: SessionMode
  readonly agent: string
  readonly projectPath: string
  readonly size: PtySize
  readonly createdAt: string
  readonly createdBy: string
  /** The node on whose word the session was started. */
  readonly gateway: PeerId
}

/** Everything about a session that is settled when it starts. Durable beside its host, so it survives the node. */
export type SessionSpec = SettledAtStart & { readonly program: SessionProgram }

/** The same of a session on a machine without a node, whose agent knows what to run. */
export type BridgedSpec = SettledAtStart & { readonly machine: MachineId; readonly prompt: string | null }

/** As the folder of a bridged session that was given none: its agent stays where it was started. */
export const AGENTS_FOLDER = '.'

export type AnySpec = SessionSpec | BridgedSpec

export type HostedSession<S extends AnySpec = SessionSpec> = { readonly spec: S; readonly state: ProgramState }

/** An ordered duplex of frames (see protocols/session-stream.ts), to a host here or on another machine. */
export type FramePipe = Omit<Channel, 'peer'>

/**
 * What sessions run under. Those of this machine have one process each, which outlives this one; those of machines
 * that are bridged are at the other end of their agents' connections.
 */
export interface SessionHosts<S extends AnySpec = SessionSpec> {
  /** Finds the sessions of earlier processes and connects to those that live. To be called once, before the rest. */
  recover(): Promise<readonly HostedSession<S>[]>
  /** Resolves when the program runs. @errors session_failed, machine_offline (bridged ones only) */
  start(spec: S): Promise<Result<HostedSession<S>>>
  get(id: SessionId): HostedSession<S> | undefined
  list(): readonly HostedSession<S>[]
  /** Told of every change of a session's state, after it. */
  onChange(listener: (session: HostedSession<S>) => void): Cancel
  /** A connection of its own to the host, for one viewer. Rejects when the host is gone. */
  open(id: SessionId): Promise<FramePipe>
  /** @errors session_ended, limit_reached (the program reads nothing), machine_offline (bridged ones only) */
  input(id: SessionId, bytes: Uint8Array): Promise<Result<null>>
  /** @errors session_ended, machine_offline (bridged ones only) */
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

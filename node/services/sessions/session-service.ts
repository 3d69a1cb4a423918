import type { Actor } from '../../../crdt/actor.ts'
import type { Page, PageRequest } from '../../../crdt/page.ts'
import type { Result } from '../../../crdt/result.ts'
import type {
  PtySize,
  Session,
  SessionInput,
  SessionLogEntry,
  SessionLogType,
  SessionStatus,
} from '../../../crdt/session.ts'

/** What a viewer of a terminal gets, in order. `seq` counts the bytes of output before this chunk. */
export type SessionOutput =
  | { readonly type: 'output'; readonly seq: number; readonly bytes: Uint8Array }
  /** Bytes `from`..`to` are gone from the ring: the viewer was too slow or came too late. */
  | { readonly type: 'gap'; readonly from: number; readonly to: number }
  /** The program is gone and all its output has been given. The last item. */
  | { readonly type: 'exit'; readonly exitCode: number | null; readonly signal: string | null }
  /**
   * The viewer was cut off while the session goes on: it acknowledged nothing for 10 s while output waited (`slow`), or
   * the machine is out of reach (`offline`). The last item.
   */
  | { readonly type: 'end'; readonly reason: 'slow' | 'offline' }

/** An attached viewer. Output flows only as fast as it is acknowledged: at most `VIEWER_WINDOW_BYTES` are in flight. */
export type SessionViewer = {
  readonly output: AsyncIterable<SessionOutput>
  /** Everything before byte `seq` has been consumed. */
  acknowledge(seq: number): void
  input(data: Uint8Array): Promise<void>
  resize(size: PtySize): Promise<void>
  close(): void
}

export type SessionService = {
  list(machineId: string, filter: { status?: SessionStatus }, page: PageRequest): Promise<Result<Page<Session>>>
  create(actor: Actor, machineId: string, input: SessionInput): Promise<Result<Session>>
  get(id: string): Promise<Result<Session>>
  /** Ends everything that the session started; its record and logs stay. @errors session_ended */
  remove(actor: Actor, id: string): Promise<Result<null>>
  /** Deletes the record and the logs of a session that has ended. @errors session_running */
  erase(actor: Actor, id: string): Promise<Result<null>>
  /** The newest `limit` entries, oldest first. */
  logs(
    actor: Actor,
    id: string,
    filter: { limit: number; type?: SessionLogType },
  ): Promise<Result<readonly SessionLogEntry[]>>
  input(actor: Actor, id: string, data: string): Promise<Result<null>>
  resize(actor: Actor, id: string, size: PtySize): Promise<Result<null>>
  /** `fromSeq` undefined: from the oldest byte still in the ring. */
  attach(actor: Actor, id: string, options: { fromSeq?: number; signal: AbortSignal }): Promise<Result<SessionViewer>>
}

import type { Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { isOver, type Execution } from '../../../crdt/execution.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { SessionLogEntry } from '../../../crdt/session.ts'
import { EXECUTION_PROTOCOL } from '../../../protocols/session-stream.ts'
import { openHere, openThere, type Watched } from '../sessions/session-attach.ts'
import type { SessionOutput, SessionViewer } from '../sessions/session-service.ts'
import { createViewer } from '../sessions/session-viewer.ts'
import type { CommandAction, CommandServiceDeps } from './command-deps.ts'
import type { CommandTarget } from './command-target.ts'
import type { ExecutionDirectory } from './execution-directory.ts'

/** Executions of this machine, as others watch them. Nothing is typed: a command reads an empty standard input. */
export const watchedExecutions = ({ hosts }: Pick<CommandServiceDeps, 'hosts'>, target: CommandTarget): Watched => ({
  protocol: EXECUTION_PROTOCOL,
  hosts,
  action: 'command.attach' satisfies CommandAction,
  admit: (actor, from) => target.admit('command.attach', actor, from),
  mayWrite: () => false,
  live(id) {
    const hosted = hosts.get(id)
    return hosted?.state.status === 'running' ? ok(null) : err(domainError('session_ended'))
  },
})

type Watching = {
  readonly deps: CommandServiceDeps
  readonly directory: ExecutionDirectory
  readonly watched: Watched
  /** The newest of its log, as much as one answer holds. */
  readonly logs: (actor: Actor, id: string) => Promise<Result<readonly SessionLogEntry[]>>
}

type Wanted = { readonly actor: Actor; readonly id: string; readonly fromSeq?: number; readonly signal: AbortSignal }

/**
 * Watches it live; what is over already is told from its log. Of one that is queued the output begins when it does, and
 * ends at once (`offline`) when it cannot be watched then.
 * @errors see `attach`
 */
export async function watchExecution(watching: Watching, wanted: Wanted): Promise<Result<SessionViewer>> {
  const known = watching.directory.find(wanted.id)
  if (!known) return err(domainError('execution_not_found'))
  return known.status === 'queued' ? ok(viewerOfQueued(watching, wanted)) : await watchBegun(watching, wanted, known)
}

async function watchBegun(watching: Watching, wanted: Wanted, execution: Execution): Promise<Result<SessionViewer>> {
  const { deps, watched } = watching
  const { actor, signal, fromSeq } = wanted
  if (!isOver(execution)) {
    const way = { actor, id: execution.id, signal }
    const { node } = execution
    const { self } = deps
    const pipe =
      node === self
        ? await openHere(deps, watched, { ...way, from: self })
        : await openThere(deps, { peer: node, protocol: watched.protocol }, way)
    if (pipe.ok) {
      const live = createViewer(pipe.value, fromSeq === undefined ? { signal } : { signal, fromSeq })
      return ok({ ...live, output: untilItsEnd(watching, wanted, live) })
    }
    if (pipe.error.code !== 'session_ended') return pipe
  }
  // It is over, or was a moment ago: its log has all of it.
  const output = await replayed(watching, { ...wanted, fromSeq: fromSeq ?? 0 })
  if (!output.ok) return output
  const nothing = async (): Promise<void> => undefined
  const close = (): void => undefined
  return ok({ output: output.value, acknowledge: close, input: nothing, resize: nothing, close })
}

/** A program's host goes as soon as the program has ended; whoever comes just then gets the rest from the log. */
async function* untilItsEnd(watching: Watching, wanted: Wanted, live: SessionViewer): AsyncGenerator<SessionOutput> {
  let seen = wanted.fromSeq ?? 0
  for await (const item of live.output) {
    if (item.type === 'output') seen = item.seq + item.bytes.byteLength
    if (item.type === 'gap') seen = item.to
    const rest =
      item.type === 'end' && item.reason === 'offline'
        ? await replayed(watching, { ...wanted, fromSeq: seen })
        : undefined
    if (rest?.ok) yield* rest.value
    else yield item
  }
}

function viewerOfQueued(watching: Watching, { signal, ...wanted }: Wanted): SessionViewer {
  const { deps, directory } = watching
  const closing = new AbortController()
  const until = AbortSignal.any([signal, closing.signal])
  let viewer: SessionViewer | undefined
  async function* output(): AsyncGenerator<SessionOutput> {
    const begun = await reaches(deps, directory, {
      id: wanted.id,
      signal: until,
      is: ({ status }) => status !== 'queued',
    })
    const opened = begun.ok ? await watchBegun(watching, { ...wanted, signal: until }, begun.value) : begun
    if (opened.ok) {
      viewer = opened.value
      yield* viewer.output
    } else if (!until.aborted) yield { type: 'end', reason: 'offline' }
  }
  return {
    output: output(),
    acknowledge: (seq) => viewer?.acknowledge(seq),
    input: async () => undefined,
    resize: async () => undefined,
    close() {
      closing.abort()
      viewer?.close()
    },
  }
}

type Until = { readonly id: string; readonly signal: AbortSignal; readonly is: (execution: Execution) => boolean }

/** Resolves when the execution is as wanted. @errors execution_not_found, cancelled */
export async function reaches(
  { events }: Pick<CommandServiceDeps, 'events'>,
  directory: ExecutionDirectory,
  { id, signal, is }: Until,
): Promise<Result<Execution>> {
  const known = directory.find(id)
  if (!known) return err(domainError('execution_not_found'))
  if (is(known)) return ok(known)
  if (signal.aborted) return err(domainError('cancelled'))
  const { promise, resolve } = Promise.withResolvers<Result<Execution>>()
  const stop = events.subscribe((event) => {
    if ('execution' in event && event.execution.id === id && is(event.execution)) resolve(ok(event.execution))
  })
  const abort = (): void => resolve(err(domainError('cancelled')))
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await promise
  } finally {
    stop()
    signal.removeEventListener('abort', abort)
  }
}

/** Of one that is over, what the log has kept from there on, as if it were put out now. @errors machine_offline */
async function replayed(
  { deps, directory, logs }: Watching,
  { actor, id, signal, fromSeq }: Wanted & { readonly fromSeq: number },
): Promise<Result<AsyncGenerator<SessionOutput>>> {
  const giveUp = new AbortController()
  const cancel = deps.clock.after(RECORDED_MS, () => giveUp.abort())
  const ended = await reaches(deps, directory, { id, signal: AbortSignal.any([signal, giveUp.signal]), is: isOver })
  cancel()
  if (!ended.ok)
    return ended.error.code === 'cancelled' && !signal.aborted ? err(domainError('machine_offline')) : ended
  const entries = await logs(actor, id)
  return entries.ok ? ok(replay(ended.value, entries.value, fromSeq)) : entries
}

/** Between the end of a program and its record; a machine that takes longer has gone away. */
const RECORDED_MS = 10_000

async function* replay(
  { exitCode, signal }: Execution,
  entries: readonly SessionLogEntry[],
  fromSeq: number,
): AsyncGenerator<SessionOutput> {
  const encoder = new TextEncoder()
  let seq = 0
  for (const { data, metadata } of entries) {
    const { omittedBytes: omitted } = metadata
    if (typeof omitted === 'number') {
      if (seq + omitted > fromSeq) yield { type: 'gap', from: Math.max(seq, fromSeq), to: seq + omitted }
      seq += omitted
    }
    const bytes = encoder.encode(data)
    const known = Math.min(bytes.byteLength, Math.max(0, fromSeq - seq))
    if (known < bytes.byteLength) yield { type: 'output', seq: seq + known, bytes: bytes.subarray(known) }
    seq += bytes.byteLength
  }
  yield { type: 'exit', exitCode, signal }
}

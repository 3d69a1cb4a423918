import { machineDoc, type PeerId, type SessionId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { deleteSession, pickExcess, readSessions, SessionRecord, writeSession } from '../../../crdt/machine-document.ts'
import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Session, SessionStatus } from '../../../crdt/session.ts'
import type { ProgramState } from '../../../protocols/session-stream.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { AnySpec, HostedSession } from '../../ports/session-host.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import type { SessionServiceDeps } from './session-deps.ts'
import { written } from '../written.ts'

/** Somebody drags a window's corner: its size is published at most so often. */
const RESIZE_EVERY_MS = 1000
/** An agent at work uses more with every step: what is only that waits this long, since each write stays in the feed. */
const USAGE_EVERY_MS = 60_000
/** A full disk: the index is brought up to date again after so long. */
const RETRY_MS = 5000

/** Keeps this machine's document in step with its session hosts, the only truth about sessions. */
export type SessionIndex = {
  /**
   * Resolves when the document durably says what the hosts say, with the latest write.
   * @errors storage_failed, machine_offline: this node stops, and its next start publishes
   */
  publish(): Promise<Result<FeedPosition | null>>
  close(): void
}

type Published = Promise<Result<FeedPosition | null>>

type Deps = Pick<SessionServiceDeps, 'documents' | 'hosts' | 'clock' | 'log'> & { readonly self: PeerId }

/** The machine's own document must be open. */
export function createSessionIndex(deps: Deps): SessionIndex {
  const { documents, hosts, clock, log, self } = deps
  const owner = { peer: self, machineId: machineIdOf(self) }
  const doc = machineDoc(self)
  let publishedAtMs = -Infinity
  let latest: Published = Promise.resolve(ok(null))
  let isClosed = false

  const publishedSessions = (): Session[] => documents.readOpen(doc, (state) => readSessions(state, owner))
  const publish = async (): Published => {
    later.clear()
    if (isClosed) return err(domainError('machine_offline'))
    const { changed, gone } = differences(publishedSessions(), hosts.list(), owner)
    if (changed.length === 0 && gone.length === 0) return await latest
    publishedAtMs = clock.monoMs()
    latest = write(changed, gone)
    return await latest
  }
  const write = async (changed: readonly Session[], gone: readonly SessionId[]): Published => {
    const result = await written(
      documents.write(doc, undefined, (state) => {
        for (const session of changed) writeSession(state, session)
        for (const id of gone) deleteSession(state, id)
      }),
    )
    if (result.ok) return ok(result.value.position)
    later.set(RETRY_MS)
    return err(result.error)
  }
  const publishAndPrune = async (): Promise<void> => {
    await publish()
    const excess = pickExcess(publishedSessions())
    for (const { id } of excess) await hosts.remove(id)
    if (excess.length > 0) await publish()
  }
  const publishInBackground = (): void => {
    publishAndPrune().catch((error: unknown) => log.error({ err: error }, 'the index of sessions could not be written'))
  }
  const later = createAlarm(clock, publishInBackground)
  const stop = hosts.onChange((hosted) => {
    const now = sessionOf(hosted, owner)
    const before = publishedSessions().find(({ id }) => id === now.id)
    // One that is not published yet is being started, and published by whoever starts it.
    if (!before) return
    const waitMs = publishedAtMs + intervalMs(before, now) - clock.monoMs()
    if (waitMs > 0) later.set(waitMs)
    else publishInBackground()
  })
  return {
    publish,
    close() {
      isClosed = true
      stop()
      later.clear()
    },
  }
}

/** Goes off once, at the earliest of the times that were set. */
function createAlarm(clock: Deps['clock'], goOff: () => void): { set(delayMs: number): void; clear(): void } {
  let next: { readonly atMs: number; readonly cancel: Cancel } | undefined
  const clear = (): void => {
    next?.cancel()
    next = undefined
  }
  return {
    clear,
    set(delayMs) {
      const atMs = clock.monoMs() + delayMs
      if (next && next.atMs <= atMs) return
      clear()
      const cancel = clock.after(delayMs, () => {
        next = undefined
        goOff()
      })
      next = { atMs, cancel }
    },
  }
}

/** How long a change waits after the one before. */
function intervalMs(before: Session, now: Session): number {
  if (before.status !== now.status) return -Infinity
  const isUsageAlone = JSON.stringify(before.ptySize) === JSON.stringify(now.ptySize) && before.problem === now.problem
  return isUsageAlone ? USAGE_EVERY_MS : RESIZE_EVERY_MS
}

/** What every surface reads of a session that is kept here, of this machine or of one that it bridges. */
export function sessionOf(
  { spec, state }: HostedSession<AnySpec>,
  owner: { readonly peer: PeerId; readonly machineId: Session['machineId'] },
): Session {
  const { status, problem } = outcomeOf(spec.mode, state)
  return {
    id: spec.id,
    machineId: 'machine' in spec ? spec.machine : owner.machineId,
    node: owner.peer,
    mode: spec.mode,
    agent: spec.agent,
    projectPath: spec.projectPath,
    createdAt: spec.createdAt,
    createdBy: spec.createdBy,
    status,
    ptySize: state.size,
    startedAt: iso(state.startedAtMs),
    endedAt: iso(state.endedAtMs),
    exitCode: state.exitCode,
    problem,
    usage: state.usage,
  }
}

/** A person leaves a shell with whatever the last command said; of an agent that works alone it means a failure. */
function outcomeOf(mode: Session['mode'], state: ProgramState): { status: SessionStatus; problem: string | null } {
  const { problem } = state
  if (state.status === 'running') return { status: state.waiting ? 'waiting_input' : 'running', problem }
  if (state.status === 'failed') return { status: 'error', problem: problem ?? 'The session could not be kept.' }
  if (state.killed) return { status: 'terminated', problem }
  if (state.signal !== null) return { status: 'error', problem: problem ?? `The program was ended by ${state.signal}.` }
  // Of a bridged session its exit code may not be known.
  if (mode === 'interactive' || state.exitCode === 0 || state.exitCode === null) return { status: 'completed', problem }
  return { status: 'error', problem: problem ?? `The program ended with exit code ${state.exitCode}.` }
}

function differences(
  published: readonly Session[],
  hosted: readonly HostedSession<AnySpec>[],
  owner: { readonly peer: PeerId; readonly machineId: Session['machineId'] },
): { changed: Session[]; gone: SessionId[] } {
  // Parsed alike, both have their keys in one order.
  const textOf = (session: Session): string => JSON.stringify(SessionRecord.parse(session))
  const before = new Map(published.map((session) => [session.id, textOf(session)]))
  const sessions = hosted.map((one) => sessionOf(one, owner))
  const kept = new Set(sessions.map(({ id }) => id))
  return {
    changed: sessions.filter((session) => before.get(session.id) !== textOf(session)),
    gone: published.flatMap(({ id }) => (kept.has(id) ? [] : [id])),
  }
}

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

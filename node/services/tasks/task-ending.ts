import { z } from 'zod'
import { domainError, invalidField } from '../../../crdt/errors.ts'
import { err, ok } from '../../../crdt/result.ts'
import { completeTask, putClaim } from '../../../crdt/task-document.ts'
import { TASK_BYTES_MAX } from '../../../crdt/task-record.ts'
import { TaskView } from '../../../crdt/task-view.ts'
import { Position } from '../../../protocols/lease/messages.ts'
import { certificateBytes } from '../claims/claim-certificate.ts'
import { UNSURE_CALL_MS, untilCertain } from '../claims/claim-certainty.ts'
import { mayActFor } from '../claims/claim-owner.ts'
import { reachedWithin } from '../claims/claim-reached.ts'
import { projectsOfLease } from './task-boards.ts'
import { withTask, writeTask } from './task-deps.ts'
import type * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import type { DomainError } from '../../../crdt/errors.ts'
import type { TaskId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import type { TaskBoard } from '../../../crdt/task-board.ts'
import type { StandingClaim } from '../../../crdt/task-entry.ts'
import type { ClaimedRecord } from '../../../crdt/task-record.ts'
import type { Task } from '../../../crdt/task.ts'
import type { Resuming } from '../claims/claim-resuming.ts'
import type { Turns } from '../claims/claim-turns.ts'
import type { HeldLease } from '../leases/lease-service.ts'
import type { TaskBoards } from './task-boards.ts'
import type { Located, TaskServiceDeps } from './task-deps.ts'
import type { TaskService } from './task-service.ts'

export type EndingDeps = TaskServiceDeps & { boards: TaskBoards; turns: Turns; resuming: Resuming }

export type TaskEnding = Pick<TaskService, 'release' | 'complete'> & {
  /** Lets other members end claims that this node holds for their callers. */
  serve(): void
  /** A lease ended by itself: says so on the board. */
  leaseEnded(lease: HeldLease, why: 'expired' | 'lost'): Promise<void>
}

const proof = { instanceId: z.string().max(128).optional(), fencingToken: z.int().optional() }
const ReleaseInput = z.object({ id: z.string(), ...proof, reason: z.string().max(2000) })
const CompleteInput = z.object({
  id: z.string(),
  ...proof,
  summary: z.string().max(50_000),
  filesModified: z.array(z.string().min(1).max(1024)).max(500),
})
/** As every surface spells them. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  filesModified: 'files_modified',
  instanceId: 'instance_id',
  fencingToken: 'fencing_token',
}
const Ended = z.object({ task: TaskView, position: Position })
type Ended = z.infer<typeof Ended>

type Ending =
  | ({ kind: 'release' } & z.infer<typeof ReleaseInput>)
  | ({ kind: 'complete' } & z.infer<typeof CompleteInput>)

/** Giving back and completing: always on the node that holds the lease, since only it knows whether it still counts. */
export function createTaskEnding(deps: EndingDeps): TaskEnding {
  return {
    async release(actor, id, input, signal) {
      const parsed = ReleaseInput.safeParse({ id, ...input })
      if (!parsed.success) return err(invalid(parsed.error))
      return await end(deps, actor, { ending: { kind: 'release', ...parsed.data }, signal })
    },
    async complete(actor, id, input, signal) {
      const parsed = CompleteInput.safeParse({ id, ...input })
      if (!parsed.success) return err(invalid(parsed.error))
      return await end(deps, actor, { ending: { kind: 'complete', ...parsed.data }, signal })
    },
    serve() {
      // Nothing runs on this machine: it holds the lease because its gateway was asked, so it also ends it.
      const needsRun = false
      deps.rpc.serve({
        name: 'task.release',
        input: ReleaseInput,
        needsRun,
        run: (actor, input, _from, signal) =>
          endForOther(deps, actor, { ending: { kind: 'release', ...input }, signal }),
      })
      deps.rpc.serve({
        name: 'task.complete',
        input: CompleteInput,
        needsRun,
        run: (actor, input, _from, signal) =>
          endForOther(deps, actor, { ending: { kind: 'complete', ...input }, signal }),
      })
    },
    async leaseEnded(lease, why) {
      for (const projectId of projectsOfLease(lease))
        await deps.boards.use(projectId, async (board) => {
          const id = board.taskOfLease(lease.leaseId)
          if (id !== undefined) await withdraw(deps, { board, id, leaseId: lease.leaseId, reason: why })
        })
    },
  }
}

function invalid({ issues }: z.ZodError): DomainError {
  const [issue] = issues
  return invalidField(FIELD_NAMES[String(issue?.path[0])] ?? String(issue?.path[0]), issue?.message ?? 'is invalid')
}

type Asked = { readonly ending: Ending; readonly signal: AbortSignal | undefined }

async function end(deps: EndingDeps, actor: Actor, { ending, signal }: Asked): Promise<Result<Task>> {
  await deps.resuming.known()
  return await withTask(deps, ending.id, async (found) => {
    const standing = found.board.standing(found.id)
    const isForeign = standing !== undefined && standing.node !== deps.self && found.task.claim !== null
    if (isForeign) {
      const refused = refuse(actor, ending, standing)
      return refused ? err(refused) : await forward(deps, actor, { ending, standing, signal })
    }
    const ended = await endHere(deps, actor, { ending, found, signal })
    return ended.ok ? ok(ended.value.task) : ended
  })
}

async function endForOther(deps: EndingDeps, actor: Actor, { ending, signal }: Asked): Promise<Result<Ended>> {
  await deps.resuming.known()
  return await withTask(deps, ending.id, (found) => endHere(deps, actor, { ending, found, signal }))
}

async function endHere(deps: EndingDeps, actor: Actor, what: Asked & { found: Located }): Promise<Result<Ended>> {
  const { ending, found, signal } = what
  const standing = found.board.standing(found.id)
  // Not in turn: whoever wants the task meanwhile is answered at once.
  if (standing?.node === deps.self && !refuse(actor, ending, standing)) {
    const known = await untilCertain(deps, standing.record.lease, signal)
    if (!known.ok) return known
  }
  return await endInTurn(deps, actor, what)
}

/** In turn with other claims and endings of the task. */
const endInTurn = (
  deps: EndingDeps,
  actor: Actor,
  { ending, found: { board, id } }: { ending: Ending; found: Located },
): Promise<Result<Ended>> =>
  deps.turns(id, async () => {
    const standing = board.standing(id)
    const refused = standing?.node === deps.self ? refuse(actor, ending, standing) : notClaimed(board.get(id))
    if (refused || !standing) return err(refused ?? domainError('task_not_claimed_by_caller'))
    if (ending.kind === 'complete' && summaryBytes(ending) > TASK_BYTES_MAX) return err(domainError('too_large'))
    if (ending.kind === 'release') return await writeEnding(deps, actor, { ending, board, id, standing })
    const { instance } = standing.record
    await deps.completions.begin({ task: id, project: board.projectId, instance })
    const ended = await writeEnding(deps, actor, { ending, board, id, standing })
    // Here alone: who is refused before says nothing about a completion that is on its way to the context.
    if (!ended.ok) await deps.completions.end(id)
    return ended
  })

type Standing = { readonly board: TaskBoard; readonly id: TaskId; readonly standing: StandingClaim }

async function writeEnding(
  deps: EndingDeps,
  actor: Actor,
  { ending, ...of }: Standing & { ending: Ending },
): Promise<Result<Ended>> {
  const { board, id, standing } = of
  const leaseId = standing.record.lease
  const isOvertaken = (): boolean =>
    !deps.leases.isValid(leaseId) || board.standing(id)?.record.lease !== leaseId || board.get(id) === undefined
  const written = await writeTask(deps, board, actor, (state) => {
    if (isOvertaken()) return false
    record(deps, state, { ending, ...of })
    return true
  })
  if (!written.ok) return written
  const { value: isWritten, position } = written.value
  if (!isWritten && ending.kind === 'release') await giveUp(deps, { ...of, reason: ending.reason })
  if (!isWritten) return err(domainError('superseded'))
  await deps.leases.release(leaseId, position)
  const task = board.get(id)
  if (!task) return err(domainError('task_not_found'))
  const isLate = ending.kind === 'complete' && task.status !== 'completed'
  return isLate ? err(domainError('superseded')) : ok({ task, position })
}

function record(deps: EndingDeps, state: Y.Doc, { ending, board, id, standing }: Standing & { ending: Ending }): void {
  const { lease, instance } = standing.record
  const at = new Date(deps.clock.wallMs()).toISOString()
  const { token, certificate } = grantOf(deps, standing)
  const ended = { lease, instance, at, token, ...(board.hasOthers(deps.self, id) ? { certificate } : {}) }
  if (ending.kind === 'release') {
    putClaim(state, deps.self, { ...ended, task: id, state: 'released', reason: ending.reason })
  } else {
    completeTask(state, deps.self, id, { ...ended, summary: ending.summary, files_modified: ending.filesModified })
  }
}

/** The lease may have been carried over to a new voter set since the claim, under a higher token. */
function grantOf({ leases }: EndingDeps, { record }: StandingClaim): Pick<ClaimedRecord, 'token' | 'certificate'> {
  const held = leases.find(record.lease)
  if (!held || held.fencingToken <= record.token) return record
  return { token: held.fencingToken, certificate: certificateBytes(held.certificate) }
}

function refuse(actor: Actor, ending: Ending, { record }: StandingClaim): DomainError | undefined {
  const held = { instanceId: record.instance, tokenId: record.tokenId, fencingToken: record.token }
  const { instanceId, fencingToken } = ending
  if (mayActFor(held, { actor, instanceId, fencingToken, ability: 'task:claim' })) return undefined
  return domainError('task_not_claimed_by_caller', { details: { holder: { instanceId: record.instance } } })
}

const notClaimed = (task: Task | undefined): DomainError =>
  domainError(task?.status === 'completed' ? 'task_closed' : 'task_not_claimed_by_caller')

async function forward(
  deps: EndingDeps,
  actor: Actor,
  { ending: { kind, ...input }, standing, signal }: Asked & { standing: StandingClaim },
): Promise<Result<Task>> {
  const { node, record } = standing
  const reply = await deps.rpc.call(node, `task.${kind}`, {
    actor,
    input,
    reply: Ended,
    timeoutMs: UNSURE_CALL_MS,
    ...(signal && { signal }),
  })
  if (!reply.ok) return reply.error.code === 'machine_offline' ? err(holderOffline(deps, standing)) : reply
  await reachedWithin(deps, reply.value.position)
  deps.log.debug({ lease: record.lease, node }, 'a claim was ended on its own node')
  return ok(reply.value.task)
}

function holderOffline(deps: EndingDeps, { node, record }: StandingClaim): DomainError {
  const retryAfterMs = Math.ceil(deps.boards.remainingMs(record.lease) / 1000) * 1000
  const name = deps.nameOf(node)
  const message = `The claim is held through ${name}, which is offline. It ends by itself in ${retryAfterMs / 1000} s.`
  return domainError('machine_offline', { message, details: { retryAfterMs } })
}

type Given = { readonly board: TaskBoard; readonly id: TaskId; readonly reason: string }

/** Says on the board that an own claim has ended, unless it was ended or taken over already. */
export const withdraw = (deps: EndingDeps, { leaseId, ...given }: Given & { leaseId: string }): Promise<void> =>
  deps.turns(given.id, async () => {
    const standing = given.board.standing(given.id)
    if (standing?.node !== deps.self || standing.record.lease !== leaseId) return
    await writeRelease(deps, { ...given, standing })
  })

/**
 * Whoever gave the task back under a lease that is not sure is told that it did not count, and must not find the task
 * its own again once the voters confirm the lease.
 */
async function giveUp(deps: EndingDeps, given: Given & { standing: StandingClaim }): Promise<void> {
  const { board, id, standing } = given
  if (board.standing(id)?.record.lease !== standing.record.lease) return
  await deps.leases.release(standing.record.lease)
  await writeRelease(deps, given)
}

async function writeRelease(
  deps: EndingDeps,
  { board, id, reason, standing }: Given & { standing: StandingClaim },
): Promise<void> {
  const result = await writeTask(deps, board, undefined, (state) =>
    record(deps, state, { ending: { kind: 'release', id, reason }, board, id, standing }),
  )
  if (!result.ok) deps.log.warn({ task: id, code: result.error.code }, 'the end of a claim could not be written')
}

const summaryBytes = (ending: { summary: string; filesModified: readonly string[] }): number =>
  new TextEncoder().encode(JSON.stringify([ending.summary, ending.filesModified])).byteLength

import { domainError, invalidField } from '../../../crdt/errors.ts'
import { InstanceId } from '../../../crdt/ids.ts'
import { err, ok } from '../../../crdt/result.ts'
import { putClaim } from '../../../crdt/task-document.ts'
import { certificateBytes } from '../claims/claim-certificate.ts'
import { leaseOwner } from '../claims/claim-owner.ts'
import { refusalError } from '../claims/claim-refusal.ts'
import { taskResource } from './task-boards.ts'
import { withTask, writeTask } from './task-deps.ts'
import type { Actor } from '../../../crdt/actor.ts'
import type { DomainError, DomainErrorCode } from '../../../crdt/errors.ts'
import type { TaskId } from '../../../crdt/ids.ts'
import type { Project } from '../../../crdt/project.ts'
import type { Result } from '../../../crdt/result.ts'
import type { ClaimedRecord } from '../../../crdt/task-record.ts'
import type { TaskBoard } from '../../../crdt/task-board.ts'
import type { Task, TaskClaim } from '../../../crdt/task.ts'
import type { Resuming } from '../claims/claim-resuming.ts'
import type { Turns } from '../claims/claim-turns.ts'
import type { HeldLease } from '../leases/lease-service.ts'
import type { TaskBoards } from './task-boards.ts'
import type { TaskServiceDeps } from './task-deps.ts'
import type { TaskService } from './task-service.ts'
import type { TaskUpholding } from './task-upholding.ts'

/** Tasks that one call tries when others are faster each time; the caller then hears that it should try again. */
const CLAIM_NEXT_TRIES_MAX = 16

/** Refusals of one task that say nothing about the next. */
const TRY_THE_NEXT: ReadonlySet<DomainErrorCode> = new Set([
  'task_claimed',
  'task_closed',
  'task_blocked',
  'task_not_found',
  'superseded',
])

type Bid = { actor: Actor; instance: InstanceId; project: Project; board: TaskBoard; id: TaskId }
type ClaimingDeps = TaskServiceDeps & {
  boards: TaskBoards
  turns: Turns
  resuming: Resuming
  upholding: Pick<TaskUpholding, 'hold'>
}

/** One winner per task: the lease decides, and the document says so before the winner is told. */
export function createTaskClaiming(deps: ClaimingDeps): Pick<TaskService, 'claim' | 'claimNext'> {
  return {
    async claim(actor, id, instanceId) {
      const instance = parseInstance(instanceId)
      if (!instance.ok) return instance
      await deps.resuming.known()
      return await withTask(deps, id, (found) => bid(deps, { actor, instance: instance.value, ...found }))
    },
    async claimNext(actor, projectId, instanceId) {
      const instance = parseInstance(instanceId)
      if (!instance.ok) return instance
      await deps.resuming.known()
      const project = await deps.projects.get(projectId)
      if (!project.ok) return project
      const bidder = { actor, instance: instance.value, project: project.value }
      return await deps.boards.use(project.value.id, (board) => claimFirst(deps, { ...bidder, board }))
    },
  }
}

async function claimFirst(deps: ClaimingDeps, bidder: Omit<Bid, 'id'>): Promise<Result<Task | null>> {
  const tried = new Set<TaskId>()
  while (tried.size < CLAIM_NEXT_TRIES_MAX) {
    const task = bidder.board.next((id) => tried.has(id))
    if (!task) return ok(null)
    const result = await bid(deps, { ...bidder, id: task.id })
    if (result.ok || !TRY_THE_NEXT.has(result.error.code)) return result
    tried.add(task.id)
  }
  return err(domainError('no_task_available', { message: 'Others were faster each time. Try again.' }))
}

function parseInstance(id: string): Result<InstanceId> {
  const instance = InstanceId.safeParse(id)
  return instance.success ? ok(instance.data) : err(invalidField('instance_id', 'Must have 1 to 128 characters.'))
}

/** In turn, so that two callers with the same instance id and token cannot both be given a lease of one owner. */
const bid = (deps: ClaimingDeps, wanted: Bid): Promise<Result<Task>> =>
  deps.turns(wanted.id, async () => {
    const { actor, instance, project, board, id } = wanted
    const before = board.get(id)
    const refused = refuseAtOnce(deps, wanted, before)
    if (refused) return err(refused)
    const mine = before?.claim
    if (before && mine && isCallers(wanted, mine) && isSure(deps, mine)) return ok(before)
    const left = board.standing(id)
    const untilMs = Math.trunc(deps.clock.wallMs()) + project.settings.taskTimeoutMinutes * 60_000
    const lease = await deps.leases.acquire({
      resources: [taskResource(board.projectId, id)],
      owner: leaseOwner(deps.crypto, actor.tokenId, instance),
      info: { instanceId: instance, untilMs },
      holdUntilMs: untilMs,
      waitMs: 0,
    })
    if (!lease.ok) return err(refusalError(lease.error, { held: 'task_claimed', nameOf: deps.nameOf }))
    let result: Result<Task> | undefined
    try {
      result = await recordClaim(deps, wanted, lease.value)
    } finally {
      if (!result?.ok) await deps.leases.release(lease.value.leaseId)
    }
    // Only now: without another lease the voters may yet confirm the one that was not sure.
    if (result.ok && left?.node === deps.self) await deps.leases.release(left.record.lease)
    return result
  })

/** Cheap: spares the voters what the board already knows. */
function refuseAtOnce(deps: ClaimingDeps, wanted: Bid, task: Task | undefined): DomainError | undefined {
  if (!task || task.status === 'completed') return whyNotOpen(task)
  if (task.claim && isSure(deps, task.claim)) {
    return isCallers(wanted, task.claim) ? undefined : claimedBy(task.claim, wanted.project)
  }
  const isNameTaken = wanted.board.claimed().some(({ id }) => {
    const claim = wanted.board.get(id)?.claim
    const isOther = claim?.instanceId === wanted.instance && claim.tokenId !== wanted.actor.tokenId
    return isOther && isSure(deps, claim)
  })
  if (!isNameTaken) return whyNotOpen(task)
  return domainError('forbidden', { message: 'Another token works under this instance id. Choose another id.' })
}

function claimedBy(claim: TaskClaim, { settings }: Project): DomainError {
  const endMs = Date.parse(claim.claimedAt) + settings.taskTimeoutMinutes * 60_000
  return domainError('task_claimed', {
    details: { holder: { instanceId: claim.instanceId, expiresAt: new Date(endMs).toISOString() } },
  })
}

function whyNotOpen(task: Task | undefined): DomainError | undefined {
  if (!task) return domainError('task_not_found')
  if (task.status === 'completed') return domainError('task_closed')
  return task.isBlocked ? domainError('task_blocked') : undefined
}

/** Of a claim through another node only that one knows. */
const isSure = ({ self, leases }: ClaimingDeps, { node, leaseId }: TaskClaim): boolean =>
  node !== self || leases.isValid(leaseId)

const isCallers = ({ actor, instance }: Bid, claim: TaskClaim): boolean =>
  claim.instanceId === instance && claim.tokenId === actor.tokenId

/** The lease has waited for the last writes of the holder before: what they say counts, whatever was asked for. */
async function recordClaim(deps: ClaimingDeps, wanted: Bid, lease: HeldLease): Promise<Result<Task>> {
  const { actor, instance, board, id } = wanted
  deps.boards.catchUp(board)
  const closed = whyNotOpen(board.get(id))
  if (closed) return err(closed)
  const { leaseId, fencingToken: token } = lease
  const isOvertaken = (): boolean =>
    !deps.leases.isValid(leaseId) || (board.standing(id)?.record.token ?? 0) > token || board.get(id) === undefined
  const record: ClaimedRecord = {
    state: 'claimed',
    task: id,
    token,
    lease: leaseId,
    instance,
    tokenId: actor.tokenId,
    at: new Date(deps.clock.wallMs()).toISOString(),
    certificate: certificateBytes(lease.certificate),
  }
  const result = await writeTask(deps, board, actor, (state) => {
    if (!isOvertaken()) putClaim(state, deps.self, record)
  })
  if (!result.ok) return result
  const task = board.get(id)
  if (!task) return err(domainError('task_not_found'))
  if (task.claim?.leaseId !== leaseId) return err(domainError('superseded'))
  deps.upholding.hold(board.projectId, record)
  return ok(task)
}

import { ok } from '../../../crdt/result.ts'
import { createCertificateCheck } from '../claims/claim-certificate.ts'
import { createResuming } from '../claims/claim-resuming.ts'
import { createTurns } from '../claims/claim-turns.ts'
import { AGENT_ENDED, inPlaceOf, onInstanceEnd, unlessEnded } from '../claims/ended-instance.ts'
import { createTaskBoards, taskResource } from './task-boards.ts'
import { createTaskClaiming } from './task-claiming.ts'
import { withTask } from './task-deps.ts'
import { createTaskEditing } from './task-editing.ts'
import { createTaskEnding } from './task-ending.ts'
import { resumeTasks } from './task-resuming.ts'
import { createTaskUpholding } from './task-upholding.ts'
import type { InstanceId, ProjectId, TaskId } from '../../../crdt/ids.ts'
import type { TaskServiceDeps } from './task-deps.ts'
import type { EndingDeps, TaskEnding } from './task-ending.ts'
import type { TaskService } from './task-service.ts'

export type RunningTaskService = TaskService & {
  /**
   * Follows the projects and begins to go on with what an earlier run left claimed. Call after documents and leases have
   * started.
   */
  start(): Promise<void>
  stop(): void
  /** Call when the voters of the mesh changed: claims that could not be verified may be valid now. */
  votersChanged(): void
}

export type { TaskServiceDeps } from './task-deps.ts'

/** The task board of the mesh, on this node. */
export function createTaskService(input: TaskServiceDeps): RunningTaskService {
  const boards = createTaskBoards({
    ...input,
    certifies: createCertificateCheck(input),
    onOthersWrite: (board) => upholding.look(board),
  })
  const turns = createTurns()
  const upholding = createTaskUpholding({ ...input, boards, turns })
  const deps = { ...input, boards, turns, upholding, resuming: createResuming(input) }
  const ending = createTaskEnding(deps)
  const claiming = createTaskClaiming(deps)
  const ended = { hasEnded: deps.hasEnded, giveBack: (instance: InstanceId) => releaseOf(deps, ending, instance) }
  const stops: (() => void)[] = []
  return {
    ...createTaskEditing(deps),
    claim: async (actor, id, instance) => await unlessEnded(await claiming.claim(actor, id, instance), instance, ended),
    claimNext: async (actor, projectId, instance) =>
      await unlessEnded(await claiming.claimNext(actor, projectId, instance), instance, ended),
    release: ending.release,
    complete: ending.complete,
    async list(projectId, filter, page) {
      const project = await deps.projects.get(projectId)
      return project.ok ? await boards.use(project.value.id, async (board) => ok(board.list(filter, page))) : project
    },
    async next(projectId) {
      const project = await deps.projects.get(projectId)
      return project.ok ? await boards.use(project.value.id, async (board) => ok(board.next() ?? null)) : project
    },
    async overview(projectId) {
      const project = await deps.projects.get(projectId)
      return project.ok ? ok(await boards.overview(project.value.id)) : project
    },
    async watch(projectId) {
      const project = await deps.projects.get(projectId)
      return project.ok ? ok(await boards.hold(project.value.id)) : project
    },
    get: (id) => withTask(deps, id, async ({ task }) => ok(task)),
    async start() {
      ending.serve()
      stops.push(
        deps.leases.onEnd((lease, why) =>
          own(deps, ending.leaseEnded(lease, why), 'the end of a claim was not written'),
        ),
        deps.events.subscribe((event) => {
          if (event.type === 'task.deleted') own(deps, releaseDeleted(deps, event), 'a claim was not given back')
        }),
        onInstanceEnd(deps, (instance) => own(deps, ended.giveBack(instance), 'what an agent held was not given back')),
      )
      await boards.start()
      deps.resuming.begin(boards.known(), () => resumeTasks(deps))
    },
    stop() {
      deps.resuming.stop()
      for (const stop of stops) stop()
      upholding.stop()
      boards.stop()
    },
    votersChanged: () => boards.reverify(),
  }
}

/** Gives back what an instance holds through this node. */
async function releaseOf(
  { boards, self }: Pick<EndingDeps, 'boards' | 'self'>,
  ending: TaskEnding,
  instance: InstanceId,
): Promise<void> {
  for (const projectId of boards.claimedHere()) {
    const claimed = await boards.use(projectId, async (board) => board.claimed())
    for (const { id, claim } of claimed)
      if (claim.node === self && claim.record.instance === instance)
        await ending.release(inPlaceOf(claim.record, self), id, { reason: AGENT_ENDED })
  }
}

/** A task that is gone needs no holder. */
async function releaseDeleted(
  { leases }: Pick<TaskServiceDeps, 'leases'>,
  { projectId, taskId }: { projectId: ProjectId; taskId: TaskId },
): Promise<void> {
  const { key } = taskResource(projectId, taskId)
  const held = leases.held().filter(({ resources }) => resources.some((r) => r.kind === 'task' && r.key === key))
  for (const { leaseId } of held) await leases.release(leaseId)
}

function own({ log }: Pick<TaskServiceDeps, 'log'>, work: Promise<void>, message: string): void {
  work.catch((error: unknown) => log.error({ err: error }, message))
}

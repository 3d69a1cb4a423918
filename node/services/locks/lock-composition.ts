import { can } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { lockView } from '../../../crdt/lock-board.ts'
import { err, ok } from '../../../crdt/result.ts'
import { createCertificateCheck } from '../claims/claim-certificate.ts'
import { createResuming } from '../claims/claim-resuming.ts'
import { createTurns } from '../claims/claim-turns.ts'
import { inPlaceOf, onInstanceEnd, unlessEnded } from '../claims/ended-instance.ts'
import { releaseByInstance } from './lock-by-instance.ts'
import { createLockBoards } from './lock-boards.ts'
import { createCertifying } from './lock-certifying.ts'
import { createLockEnding } from './lock-ending.ts'
import { findLock } from './lock-finding.ts'
import { createKeptLocks } from './lock-keeping.ts'
import { createLiveLocks } from './lock-live.ts'
import { createLockNotices } from './lock-notices.ts'
import { createProvisionalLocks } from './lock-provisional.ts'
import { resumeLocks } from './lock-resuming.ts'
import { createLockTaking } from './lock-taking.ts'
import { lockSpaceOf } from './lock-target.ts'
import type { InstanceId } from '../../../crdt/ids.ts'
import type { LockDeps, LockServiceDeps } from './lock-deps.ts'
import type { LockEnding } from './lock-ending.ts'
import type { LockNotices } from './lock-notices.ts'
import type { LockService } from './lock-service.ts'

export type RunningLockService = LockService & {
  /**
   * Follows the locks of the others, and begins to go on with what an earlier run of this node held. Call after documents
   * and leases.
   */
  start(): Promise<void>
  stop(): void
}

export type { LockServiceDeps } from './lock-deps.ts'

/** The file locks of the mesh, on this node. */
export function createLockService(input: LockServiceDeps): RunningLockService {
  const boards = createLockBoards({ ...input, certifies: createCertificateCheck(input) })
  const kept = createKeptLocks(input)
  const live = createLiveLocks({ ...input, kept, onWritten: (doc) => boards.catchUp(doc) })
  const notices = createLockNotices(input)
  const claims = createProvisionalLocks({ ...input, boards, live, notices, onHeld: () => certifying.wake() })
  const certifying = createCertifying({ ...input, claims })
  const deps = { ...input, boards, live, claims, turns: createTurns(), resuming: createResuming(input) }
  const ending = createLockEnding(deps)
  const taking = createLockTaking({ ...deps, ending })
  const ended = { hasEnded: deps.hasEnded, giveBack: (instance: InstanceId) => releaseOf(deps, ending, instance) }
  const stops: (() => void)[] = []
  const shown = showing(deps, notices)
  return {
    acquire: async (actor, projectId, wish) =>
      await unlessEnded(await taking.acquire(actor, projectId, wish), wish.instanceId, ended),
    bulk: async (actor, projectId, wish) =>
      await unlessEnded(await taking.bulk(actor, projectId, wish), wish.instanceId, ended),
    release: ending.release,
    extend: ending.extend,
    releaseByInstance: (actor, held) => releaseByInstance({ ...shown, live, release: ending.release }, actor, held),
    forceRelease: ending.forceRelease,
    ...shown,
    async start() {
      ending.serve()
      boards.onLook(() => claims.review())
      stops.push(
        followLeases(deps, ending),
        ...followMembers(deps, () => certifying.hurry()),
        onInstanceEnd(deps, (instance) => {
          ended
            .giveBack(instance)
            .catch((error: unknown) => deps.log.error({ err: error }, 'what an agent had locked was not given back'))
        }),
      )
      await boards.start()
      const left = await kept.load()
      await notices.start(new Set(left.flatMap(({ claim }) => claim ?? [])))
      deps.resuming.begin(Promise.resolve(), () => resumeLocks({ ...deps, kept, notices }, left))
    },
    stop() {
      deps.resuming.stop()
      for (const stop of stops) stop()
      certifying.stop()
      claims.stop()
      notices.stop()
      boards.stop()
    },
  }
}

function showing(
  deps: LockDeps,
  notices: LockNotices,
): Pick<LockService, 'list' | 'check' | 'notices' | 'dismissNotice'> {
  const { projects, boards, crypto } = deps
  return {
    async list(projectId) {
      const project = await projects.get(projectId)
      return project.ok ? ok(boards.board.list(lockSpaceOf(crypto, project.value).key).map(lockView)) : project
    },
    async check(projectId, path) {
      const found = await findLock(deps, projectId, path)
      if (!found.ok) return found
      const { inTheWay } = found.value
      return ok(inTheWay ? lockView(inTheWay) : null)
    },
    async notices(projectId) {
      const project = await projects.get(projectId)
      return project.ok ? ok(await notices.list(project.value.id)) : project
    },
    async dismissNotice(actor, projectId, id) {
      if (!can(actor, 'lock:write')) return err(domainError('forbidden'))
      const project = await projects.get(projectId)
      return project.ok ? await notices.dismiss(actor, project.value.id, id) : project
    },
  }
}

/** Gives back what an instance holds through this node. One after the other: a lease over many paths is one turn. */
async function releaseOf({ live, self }: LockDeps, { release }: LockEnding, instance: InstanceId): Promise<void> {
  for (const { record } of live.all())
    if (record.instance === instance)
      await release(inPlaceOf(record, self), record.project, { path: record.path, instanceId: instance })
}

const followLeases = ({ leases, log }: LockDeps, ending: LockEnding): (() => void) =>
  leases.onEnd((lease) => {
    ending.leaseEnded(lease).catch((error: unknown) => log.error({ err: error }, 'the end of a lock was not written'))
  })

/** A member that is gone holds nothing; one that is heard again may be the voter that was missing. */
const followMembers = ({ events, boards, presence }: LockDeps, onReturn: () => void): (() => void)[] => [
  events.subscribe(({ type }) => {
    if (type === 'members.changed') boards.reverify()
  }),
  presence.onChange((peer) => {
    if (presence.state(peer) === 'online') onReturn()
  }),
]

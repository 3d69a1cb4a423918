import { lockExtent, lockView } from '../../../crdt/lock-board.ts'
import { ok } from '../../../crdt/result.ts'
import { overlaps } from '../../../protocols/lease/resources.ts'
import { createCertificateCheck } from '../claims/claim-certificate.ts'
import { createTurns } from '../claims/claim-turns.ts'
import { writtenIfMember } from '../written.ts'
import { createLockBoards, lockResource } from './lock-boards.ts'
import { createLockEnding } from './lock-ending.ts'
import { createLiveLocks } from './lock-live.ts'
import { createLockTaking } from './lock-taking.ts'
import { lockKeyOf, lockTarget } from './lock-target.ts'
import type { LockServiceDeps } from './lock-deps.ts'
import type { LockService } from './lock-service.ts'

export type RunningLockService = LockService & {
  /** Announces that this node starts without locks, and follows those of the others. Call after documents and leases. */
  start(): Promise<void>
  stop(): void
}

export type { LockServiceDeps } from './lock-deps.ts'

/** The file locks of the mesh, on this node. */
export function createLockService(input: LockServiceDeps): RunningLockService {
  const boards = createLockBoards({ ...input, certifies: createCertificateCheck(input) })
  const live = createLiveLocks({ ...input, onWritten: (doc) => boards.catchUp(doc) })
  const deps = { ...input, boards, live, turns: createTurns() }
  const ending = createLockEnding(deps)
  let unsubscribe: () => void = () => undefined
  return {
    ...createLockTaking({ ...deps, ending }),
    release: ending.release,
    extend: ending.extend,
    forceRelease: ending.forceRelease,
    async list(projectId) {
      const project = await deps.projects.get(projectId)
      return project.ok ? ok(boards.board.list(lockKeyOf(deps.crypto, project.value)).map(lockView)) : project
    },
    async check(projectId, path) {
      const project = await deps.projects.get(projectId)
      if (!project.ok) return project
      const projectKey = lockKeyOf(deps.crypto, project.value)
      const target = lockTarget(projectKey, path)
      if (!target.ok) return target
      const resource = lockResource(target.value)
      const inTheWay = boards.board.list(projectKey).filter(({ record }) => overlaps(lockResource(record), resource))
      const lock = boards.board.get(lockExtent(target.value)) ?? inTheWay[0]
      return ok(lock ? lockView(lock) : null)
    },
    async start() {
      ending.serve()
      unsubscribe = deps.leases.onEnd((lease) => {
        ending
          .leaseEnded(lease)
          .catch((error: unknown) => deps.log.error({ err: error }, 'the end of a lock was not written'))
      })
      await boards.start()
      await writtenIfMember(live.start())
    },
    stop() {
      unsubscribe()
      boards.stop()
    },
  }
}

import type { InstanceId, PeerId } from '../../../crdt/ids.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Metrics } from '../../ports/metrics.ts'
import type { Random } from '../../ports/random.ts'
import type { Resuming } from '../claims/claim-resuming.ts'
import type { Turns } from '../claims/claim-turns.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { LockBoards, LockBoardsDeps } from './lock-boards.ts'
import type { LiveLocks } from './lock-live.ts'
import type { ProvisionalLocks } from './lock-provisional.ts'
import type { ProjectService } from '../projects/project-service.ts'
import type { Rpc } from '../rpc/rpc.ts'
import type { Presence } from '../sync/presence.ts'

export type LockServiceDeps = Omit<LockBoardsDeps, 'certifies' | 'leases' | 'presence'> & {
  leases: LeaseService
  presence: Pick<Presence, 'lastRenewedMonoMs' | 'state' | 'onChange'>
  rpc: Rpc
  random: Random
  crypto: Pick<Crypto, 'sha256'>
  projects: Pick<ProjectService, 'get'>
  /** What people call a member; the peer id where it has no name. */
  nameOf: (peer: PeerId) => string
  /** Counts the starts of this node; never used twice. */
  boot: number
  /** Keeps what this node holds beyond its process. */
  store: Pick<FeedStore, 'getFact' | 'putFact'>
  /** Whether the agent is known to have ended; most agents cannot be asked. */
  hasEnded: (instance: InstanceId) => boolean
  metrics?: Metrics
}

export type LockDeps = LockServiceDeps & {
  boards: LockBoards
  live: LiveLocks
  claims: ProvisionalLocks
  turns: Turns
  resuming: Resuming
}

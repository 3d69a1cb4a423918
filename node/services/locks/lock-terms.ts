import type { CertifiedRecord, LockRecord } from '../../../crdt/lock-record.ts'
import type { InstanceId, ProjectId } from '../../../crdt/ids.ts'
import type { LockTarget } from './lock-target.ts'

/** Who holds locks that were taken together, why, and until when. */
export type LockTerms = {
  readonly projectId: ProjectId
  readonly instance: InstanceId
  readonly tokenId: string
  readonly reason: string | null
  readonly lockedAtMs: number
  readonly untilMs: number
}

type Shared = Omit<CertifiedRecord, 'lease' | 'token' | 'grantedAt'>

/** The part of a record that does not depend on how surely the lock is held. */
export const sharedRecord = (terms: LockTerms, { path, key, pattern }: LockTarget): Shared => ({
  project: terms.projectId,
  key,
  path,
  ...(pattern === undefined ? {} : { pattern }),
  instance: terms.instance,
  tokenId: terms.tokenId,
  reason: terms.reason,
  lockedAt: new Date(terms.lockedAtMs).toISOString(),
  expiresAt: new Date(terms.untilMs).toISOString(),
})

export const targetOf = ({ path, key, pattern }: LockRecord): LockTarget => ({
  path,
  key,
  ...(pattern === undefined ? {} : { pattern }),
})

export const termsOfRecord = (record: LockRecord): LockTerms => ({
  projectId: record.project,
  instance: record.instance,
  tokenId: record.tokenId,
  reason: record.reason,
  lockedAtMs: Date.parse(record.lockedAt),
  untilMs: Date.parse(record.expiresAt),
})

import type { PeerId, ProjectId } from './ids.ts'

export const LOCK_POLICIES = ['strict', 'local-first'] as const
/**
 * What a file lock does while no quorum of voters can be reached: `strict` is refused, `local-first` holds
 * provisionally. Task claims are always strict.
 */
export type LockPolicy = (typeof LOCK_POLICIES)[number]

export type ProjectSettings = {
  readonly maxContextTokens: number
  readonly taskTimeoutMinutes: number
  readonly lockPolicy: LockPolicy
  /** Paths that differ in case only are one file: so on a machine whose file system does not tell them apart. */
  readonly caseFold: boolean
}

export const DEFAULT_PROJECT_SETTINGS: ProjectSettings = {
  maxContextTokens: 8000,
  taskTimeoutMinutes: 60,
  lockPolicy: 'local-first',
  caseFold: false,
}

/** What makes two folders on two machines one project: the repository's first commit and its remote. */
export type RepositoryIdentity = { readonly rootCommit: string; readonly remote: string | null }

export type Project = {
  readonly id: ProjectId
  readonly name: string
  readonly summary: string
  readonly architecture: string
  readonly conventions: string
  readonly currentFocus: string
  readonly recentChanges: string
  readonly settings: ProjectSettings
  readonly repository: RepositoryIdentity | null
  /** Where the project lies on each machine that has it. */
  readonly paths: Readonly<Record<PeerId, string>>
  readonly createdAt: string
  readonly createdBy: string
}

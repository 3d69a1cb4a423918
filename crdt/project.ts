import type { PeerId, ProjectId } from './ids.ts'

export type ProjectSettings = { readonly maxContextTokens: number; readonly taskTimeoutMinutes: number }
export const DEFAULT_PROJECT_SETTINGS: ProjectSettings = { maxContextTokens: 8000, taskTimeoutMinutes: 60 }

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

import type { Actor } from '../../crdt/actor.ts'
import type { Project, ProjectSettings } from '../../crdt/project.ts'
import type { Page, PageRequest } from '../../crdt/page.ts'
import type { Result } from '../../crdt/result.ts'

export type ProjectInput = {
  readonly name?: string
  readonly projectPath: string
  readonly summary?: string
  readonly architecture?: string
  readonly conventions?: string
  readonly settings?: Partial<ProjectSettings>
}

export type ProjectChange = {
  readonly name?: string
  readonly summary?: string
  readonly architecture?: string
  readonly conventions?: string
  readonly currentFocus?: string
  readonly recentChanges?: string
  readonly settings?: Partial<ProjectSettings>
}

export type ProjectService = {
  /** Projects that lie on this machine. */
  list(machineId: string, page: PageRequest): Promise<Result<Page<Project>>>
  /** Every project of the mesh. */
  all(): Promise<readonly Project[]>
  /**
   * Adds a folder of a machine. The machine itself looks at the folder; one repository added from two machines is one
   * project with two paths.
   */
  create(actor: Actor, machineId: string, input: ProjectInput): Promise<Result<Project>>
  get(id: string): Promise<Result<Project>>
  update(actor: Actor, id: string, change: ProjectChange): Promise<Result<Project>>
  remove(actor: Actor, id: string): Promise<Result<null>>
}

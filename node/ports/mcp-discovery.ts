import type { McpProgram } from '../../crdt/mcp.ts'

/** A definition in a file that agents read. */
export type FoundMcp = {
  /** As the file says, with other characters than names may have replaced. */
  readonly name: string
  readonly file: string
  /** The person's own file, not one that came with a project. */
  readonly isOwn: boolean
  /** The agent, or the folder of the project: tells servers of one name apart. */
  readonly from: string
  readonly program: McpProgram
  /** Why it cannot run as it stands. */
  readonly problem: string | null
}

/** Looks into the files of agents; runs nothing of what they say. */
export interface McpDiscovery {
  /** The person's own files first, then those of the given folders. */
  find(folders: readonly string[]): Promise<readonly FoundMcp[]>
}

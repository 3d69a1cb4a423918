import type { MachineFacts } from '../../crdt/machine.ts'
import type { RepositoryIdentity } from '../../crdt/project.ts'

export type HostFacts = Pick<
  MachineFacts,
  'hostname' | 'platform' | 'arch' | 'nodeVersion' | 'claudeVersion' | 'claudePath' | 'agents'
>

export type FolderFacts = {
  readonly exists: boolean
  readonly isDirectory: boolean
  /** Symbolic links resolved; null when it does not exist. */
  readonly realPath: string | null
  /** Of the repository whose top is this folder, or null. */
  readonly repository: RepositoryIdentity | null
  /** True when the file system there does not tell `A` from `a`. False where that cannot be told without writing. */
  readonly foldsCase: boolean
}

/** Agent CLIs that sessions can run, in order of preference when the caller names none. */
export const AGENT_CLIS = ['claude', 'codex', 'opencode', 'gemini'] as const
export type AgentCli = (typeof AGENT_CLIS)[number]

/** What this host is, and what lies on it. */
export interface MachineProbe {
  facts(): Promise<HostFacts>
  /** Absolute paths of the agent CLIs found now, by name: those we know, and those that are configured. */
  agents(): Promise<Readonly<Record<string, string>>>
  /** The person's login shell and home directory, absolute. */
  account(): { readonly shell: string; readonly home: string }
  /** Never executes anything that the folder or its repository brings along. */
  inspectFolder(path: string): Promise<FolderFacts>
}

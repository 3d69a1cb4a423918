import type { CommandId, ExecutionId, MachineId, PeerId, ProjectId } from './ids.ts'

/**
 * `failed`: ended with another exit code than 0, by a signal, or could not be started; `lost`: its node ended without
 * ending it in order, so that nobody knows what became of it.
 */
export const EXECUTION_STATUSES = [
  'queued',
  'running',
  'completed',
  'failed',
  'cancelled',
  'timed_out',
  'lost',
] as const
export type ExecutionStatus = (typeof EXECUTION_STATUSES)[number]

/** One call of a command on a machine. It never outlives the node there. */
export type Execution = {
  readonly id: ExecutionId
  readonly machineId: MachineId
  readonly node: PeerId
  readonly commandId: CommandId
  readonly name: string
  /** With what the caller gave, as a person would type it. */
  readonly line: string
  readonly folder: string
  /** The project that the folder belongs to. */
  readonly projectId: ProjectId | null
  readonly createdBy: string
  readonly queuedAt: string
  readonly status: ExecutionStatus
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly exitCode: number | null
  readonly signal: string | null
  /** Why it did not end well, for a person. */
  readonly problem: string | null
}

export const isOver = ({ status }: Pick<Execution, 'status'>): boolean => status !== 'queued' && status !== 'running'

import { readExecutions } from '../../../crdt/execution-records.ts'
import { isOver, type Execution } from '../../../crdt/execution.ts'
import { watchMachineRecords, type MachineRecords } from '../machine-records.ts'
import type { CommandServiceDeps } from './command-deps.ts'

/** Every execution of the mesh as this node knows it, in memory. */
export type ExecutionDirectory = MachineRecords<Execution>

type Deps = Pick<CommandServiceDeps, 'documents' | 'membership' | 'events' | 'log'>

/** Follows the executions of all members and tells of changes as domain events, whichever machine they happened on. */
export function watchExecutions({ events, ...deps }: Deps): Promise<ExecutionDirectory> {
  const tell = (before: Execution | undefined, execution: Execution): void => {
    if (!before) events.publish({ type: 'execution.queued', execution })
    if (isOver(execution)) {
      if (!(before && isOver(before))) events.publish({ type: 'execution.ended', execution })
    } else if (execution.status === 'running' && before?.status !== 'running')
      events.publish({ type: 'execution.started', execution })
  }
  return watchMachineRecords({ ...deps, read: readExecutions, tell })
}

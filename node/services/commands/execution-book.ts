import type { Actor } from '../../../crdt/actor.ts'
import { deleteExecution, excessExecutions, readExecutions, writeExecution } from '../../../crdt/execution-records.ts'
import type { Execution } from '../../../crdt/execution.ts'
import { machineDoc, type ExecutionId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { FeedPosition } from '../feeds/documents.ts'
import { written } from '../written.ts'
import type { CommandServiceDeps } from './command-deps.ts'

/** A full disk: what could not be written is tried again after so long. */
const RETRY_MS = 5000

type Written = Promise<Result<FeedPosition | null>>

/** This machine's own executions, in its document. What they are now is here at once, on the disk soon after. */
export type ExecutionBook = {
  all(): readonly Execution[]
  get(id: string): Execution | undefined
  /** Makes a new one durable before it counts. @errors storage_failed */
  open(execution: Execution, actor: Actor): Written
  /** Resolves when the disk has it; when that fails it is tried again until it works. */
  change(id: ExecutionId, change: Partial<Execution>): Written
  /** Those that ended first and are too many; gone from the document when it resolves. */
  prune(): Promise<readonly ExecutionId[]>
  close(): void
}

type Deps = Pick<CommandServiceDeps, 'self' | 'documents' | 'clock' | 'log'>

/** The machine's own document must be open. */
export function openExecutionBook({ self, documents, clock, log }: Deps): ExecutionBook {
  const doc = machineDoc(self)
  const owner = { peer: self, machineId: machineIdOf(self) }
  const executions = new Map(
    documents.readOpen(doc, (state) => readExecutions(state, owner)).map((one) => [one.id, one]),
  )
  const unwritten = new Set<ExecutionId>()
  let later: Cancel | undefined

  const flush = async (): Written => {
    const ids = [...unwritten]
    unwritten.clear()
    const result = await written(
      documents.write(doc, undefined, (state) => {
        for (const id of ids) {
          const execution = executions.get(id)
          if (execution) writeExecution(state, execution)
        }
      }),
    )
    if (result.ok) return ok(result.value.position)
    for (const id of ids) unwritten.add(id)
    later ??= clock.after(RETRY_MS, () => {
      later = undefined
      flush().catch((error: unknown) => log.error({ err: error }, 'executions could not be written'))
    })
    return err(result.error)
  }
  return {
    all: () => [...executions.values()],
    get: (id) => executions.get(id as ExecutionId),
    async open(execution, actor) {
      const result = await written(documents.write(doc, actor, (state) => writeExecution(state, execution)))
      if (!result.ok) return result
      executions.set(execution.id, execution)
      return ok(result.value.position)
    },
    async change(id, change) {
      const execution = executions.get(id)
      if (!execution) return ok(null)
      executions.set(id, { ...execution, ...change })
      unwritten.add(id)
      return await flush()
    },
    async prune() {
      const ids = excessExecutions([...executions.values()]).map(({ id }) => id)
      if (ids.length === 0) return ids
      const result = await written(
        documents.write(doc, undefined, (state) => {
          for (const id of ids) deleteExecution(state, id)
        }),
      )
      if (!result.ok) return []
      for (const id of ids) executions.delete(id)
      return ids
    },
    close: () => later?.(),
  }
}

import { z } from 'zod'
import { InstanceId, ProjectId, TaskId } from '../../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { Log } from '../../ports/log.ts'

const FACT = 'pending-completions'
/** Of those that fail for long (a full disk) the oldest are given up. */
const PENDING_MAX = 1000
const BYTES_MAX = 512 * 1024

const Pending = z.object({ task: TaskId, project: ProjectId, instance: InstanceId })
export type PendingCompletion = z.infer<typeof Pending>

/**
 * Completions of tasks that are being written, and are not in the context yet. On this node's disk, so that one between
 * whose two writes the process ended is added by the next.
 */
export type PendingCompletions = {
  /** Those of an earlier process, too. */
  all(): readonly PendingCompletion[]
  /** Before the completion is written; durable when it resolves. A disk that refuses will refuse the completion as well. */
  begin(completion: PendingCompletion): Promise<void>
  /** It is in the context, or was not written after all. */
  end(task: TaskId): Promise<void>
}

export async function openPendingCompletions({
  store,
  log,
}: {
  store: Pick<FeedStore, 'getFact' | 'putFact'>
  log: Log
}): Promise<PendingCompletions> {
  const saved = await store.getFact(FACT)
  const pending = new Map((saved ? decoded(saved, log) : []).map((one) => [one.task, one]))
  const save = async (): Promise<void> => {
    try {
      await store.putFact(FACT, encodeCanonical([...pending.values()]))
    } catch (error) {
      log.warn({ err: error }, 'what is to be added to the context cannot be noted')
    }
  }
  return {
    all: () => [...pending.values()],
    async begin(completion) {
      pending.set(completion.task, completion)
      for (const [oldest] of pending) if (pending.size > PENDING_MAX) pending.delete(oldest)
      await save()
    },
    async end(task) {
      if (pending.delete(task)) await save()
    },
  }
}

function decoded(bytes: Uint8Array, log: Log): PendingCompletion[] {
  try {
    return decodeCanonical(z.array(Pending).max(PENDING_MAX), bytes, BYTES_MAX)
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error
    log.warn({ err: error }, 'what the last run had to add to the context cannot be read')
    return []
  }
}

import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Db, type Op, openDb } from './level-db.ts'
import { withChecksum } from './level-values.ts'

/** After a failed write nothing is tried again before this much can be written: reopening needs room for itself. */
const PROBE_BYTES = 1024 * 1024

export type Writer = {
  /** Writes all or none, synced. `revert` undoes on disk what a failed write may have left there, as far as anybody knows. */
  commit(ops: readonly Op[], revert?: () => Op[]): Promise<void>
  close(): Promise<void>
}

/**
 * One write at a time. A write that failed half-way leaves LevelDB's log at an unknown place: what it appends after that
 * can be unreadable at the next start, acknowledged or not. So a failure is followed, before anything else is written, by
 * closing and reopening (which starts a new log) and by undoing the failed batch in case the log had kept it.
 */
export function createWriter(db: Db, dir: string): Writer {
  let tail: Promise<unknown> = Promise.resolve()
  let failed: (() => Op[])[] = []
  let closed = false
  const write = async (ops: readonly Op[], revert: () => Op[]): Promise<void> => {
    if (closed) throw new Error('the store is closed')
    if (failed.length > 0) {
      await probeDisk(dir)
      await db.close()
      await openDb(db, dir)
    }
    try {
      await db.batch([...failed.flatMap((undo) => undo()), ...ops].map(guarded), { sync: true })
      failed = []
    } catch (cause) {
      failed.push(revert)
      throw new Error('the store could not write to its disk', { cause })
    }
  }
  const inOrder = (task: () => Promise<void>): Promise<void> => {
    const done = tail.then(task)
    tail = done.catch(() => undefined) // whoever asked for the write handles its failure
    return done
  }
  return {
    commit: (ops, revert = () => []) => inOrder(() => write(ops, revert)),
    close: () =>
      inOrder(async () => {
        closed = true
        await db.close()
      }),
  }
}

const guarded = (op: Op): Op => (op.type === 'put' ? { ...op, value: withChecksum(op.key, op.value) } : op)

async function probeDisk(dir: string): Promise<void> {
  const path = join(dir, 'probe.tmp')
  try {
    const file = await open(path, 'w', 0o600)
    try {
      await file.writeFile(new Uint8Array(PROBE_BYTES))
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (cause) {
    throw new Error('the store could not write to its disk', { cause })
  } finally {
    await rm(path, { force: true })
  }
}

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openDataDirectory } from '../adapters/data-directory.ts'
import { LeaseJournalError, openLeaseJournal } from '../adapters/lease-journal.ts'
import { createPinoLog } from '../adapters/pino-log.ts'
import { ProcessLockError } from '../adapters/process-lock.ts'
import { systemRandom } from '../adapters/system-random.ts'
import type { LeaseJournal } from '../ports/lease-journal.ts'
import { renewVoterIncarnation } from '../services/leases/lease-voter.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { journalFile } from './mesh-files.ts'

/**
 * Gives the voter of a stopped node a new identity.
 * @returns the mesh, and the incarnation under which it votes once it is named again
 * @throws CommandFailure when there is no node, it runs, or its journal is damaged
 */
export async function resetVoter(dataDir: string): Promise<{ mesh: string; incarnation: string }> {
  const { mesh, file } = await findJournal(dataDir)
  const journal = await open(dataDir, file)
  try {
    return { mesh, incarnation: await renewVoterIncarnation(journal, systemRandom) }
  } finally {
    await journal.close()
  }
}

async function findJournal(dataDir: string): Promise<{ mesh: string; file: string }> {
  // Opening a directory makes what it lacks: this one must be there.
  const data = existsSync(join(dataDir, 'keys')) ? await openDataDirectory(dataDir) : undefined
  const mesh = await data?.currentMesh()
  const file = data && mesh !== undefined ? journalFile(data.meshDir(mesh)) : undefined
  if (mesh === undefined || file === undefined || !existsSync(file))
    throw new CommandFailure(
      `There is no voter in ${dataDir}: name the directory of the node with --data-dir.`,
      EXIT.refused,
      { code: 'no_node' },
    )
  return { mesh, file }
}

async function open(dataDir: string, file: string): Promise<LeaseJournal> {
  const onFailure = (cause: Error): never => {
    throw cause
  }
  try {
    return await openLeaseJournal(file, { log: createPinoLog('warn'), onFailure })
  } catch (error) {
    if (error instanceof ProcessLockError)
      throw new CommandFailure(`The node in ${dataDir} runs. Stop it first: \`rookery down\`.`, EXIT.refused, {
        code: 'node_running',
      })
    if (error instanceof LeaseJournalError) throw new CommandFailure(error.message, EXIT.refused)
    throw error
  }
}

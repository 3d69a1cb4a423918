import { resolve } from 'node:path'
import { openDataDirectory } from '../adapters/data-directory.ts'
import { createPinoLog } from '../adapters/pino-log.ts'
import { hostName, loadConfig } from './config.ts'
import { identityOf } from './identity.ts'
import { joinWithTicket } from './joining.ts'
import type { Joined } from './run-node.ts'

/** `rookery join` on a data directory whose node is not running. */
export async function joinStopped(dataDir: string, ticket: string, name: string | undefined): Promise<Joined> {
  const path = resolve(dataDir)
  const data = await openDataDirectory(path)
  const { config } = await loadConfig(path, process.env, { name, gateway: false, 'p2p.mdns': false })
  const log = createPinoLog('error')
  if ((await data.currentMesh()) === undefined)
    return await joinWithTicket(data, identityOf(data), { ticket, name: config.name ?? hostName(), log })
  // Whether the mesh that is there may be given up is seen only by opening it.
  const { runNode } = await import('./run-node.ts')
  const node = await runNode(path, config, log)
  try {
    return await node.join(ticket, name)
  } finally {
    await node.stop()
  }
}

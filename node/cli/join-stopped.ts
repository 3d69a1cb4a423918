import { resolve } from 'node:path'
import { openDataDirectory } from '../adapters/data-directory.ts'
import { createPinoLog } from '../adapters/pino-log.ts'
import { hostName, loadConfig } from './config.ts'
import { identityOf } from './identity.ts'
import { joinWithTicket } from './joining.ts'
import { runNode, type Joined } from './run-node.ts'

/** `rookery join` on a data directory whose node is not running. */
export async function joinStopped(dataDir: string, ticket: string, name: string | undefined): Promise<Joined> {
  const path = resolve(dataDir)
  const data = await openDataDirectory(path)
  const { config } = await loadConfig(path, process.env, { name, gateway: false, 'p2p.mdns': false })
  const log = createPinoLog('error')
  if ((await data.currentMesh()) === undefined)
    return await joinWithTicket(data, identityOf(data), { ticket, name: config.name ?? hostName(), log })
  // Whether the mesh that is there may be given up is seen only by opening it.
  const node = await runNode(path, config, log)
  try {
    return await node.join(ticket, name)
  } finally {
    await node.stop()
  }
}

/** Whether the mesh of a data directory whose node is not running may be given up for another one. */
export async function mayJoinStopped(dataDir: string): Promise<boolean> {
  const path = resolve(dataDir)
  const data = await openDataDirectory(path)
  if ((await data.currentMesh()) === undefined) return true
  const { config } = await loadConfig(path, process.env, { gateway: false, 'p2p.mdns': false })
  const node = await runNode(path, config, createPinoLog('error'))
  try {
    return await node.mesh().isEmpty()
  } finally {
    await node.stop()
  }
}

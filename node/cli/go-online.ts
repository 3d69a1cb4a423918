import { createHostSleep } from '../adapters/host-sleep.ts'
import { sayGoodbyeBeforeSleep } from '../services/sync/sleep-goodbye.ts'
import type { Config } from './config.ts'
import type { Cleanup, MeshCore } from './mesh-core.ts'
import { rememberPort } from './remembered.ts'

/** Joins the network, and says goodbye whenever this machine goes to sleep. */
export async function goOnline(
  { means, network, store, sync, presence, restored }: MeshCore,
  { alwaysOn }: Pick<Config, 'alwaysOn'>,
  cleanup: Cleanup,
): Promise<void> {
  await network.start()
  cleanup.push(() => network.stop())
  await rememberPort(store, network.addresses())
  sync.start()
  // Before the network: what was written last, a goodbye or our own removal, has to leave first.
  cleanup.push(() => sync.stop())
  await presence.start()
  cleanup.push(() => presence.stop())
  restored.start()
  cleanup.push(() => restored.stop())
  const hostSleep = createHostSleep({ ...means, environment: process.env })
  if (!alwaysOn) cleanup.push(sayGoodbyeBeforeSleep({ ...means, presence, hostSleep }))
}

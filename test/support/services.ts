import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Config } from '../../node/cli/config.ts'
import { runNode } from '../../node/cli/run-node.ts'
import type { Services } from '../../node/services/services.ts'
import { createRecordedLog, type RecordedLog } from './log.ts'

export type TestServices = {
  readonly services: Services
  /** What the node logged. */
  readonly log: RecordedLog
  readonly dataDir: string
  stop(): Promise<void>
}

/**
 * The services of a real node in this process, on loopback, without a gateway: of a mesh of its own, or of that of the
 * ticket. `more` is configuration.
 */
export async function startTestServices({
  name = 'nest',
  ticket,
  ...more
}: { name?: string; ticket?: string; [setting: string]: unknown } = {}): Promise<TestServices> {
  const dataDir = await mkdtemp(join(tmpdir(), 'rk-services-'))
  const home = await mkdtemp(join(tmpdir(), 'rk-home-'))
  // Terminals are login shells: whoever runs the tests may have a profile that takes seconds, or locks.
  const { HOME, SHELL } = process.env
  Object.assign(process.env, { HOME: home, SHELL: '/bin/sh' })
  const log = createRecordedLog()
  const config = Config.parse({
    name,
    gateway: false,
    p2p: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false },
    sessions: { max: 100 },
    ...more,
  })
  const node = await runNode(dataDir, config, log)
  if (ticket !== undefined) {
    const joined = await node.join(ticket)
    if (!joined.ok) throw new Error(`the node did not join: ${joined.error.message}`)
  }
  return {
    services: node.mesh().services,
    log,
    dataDir,
    async stop() {
      await node.mesh().killSessions()
      await node.stop()
      Object.assign(process.env, { HOME, SHELL })
      for (const folder of [dataDir, home]) await rm(folder, { recursive: true, force: true })
    },
  }
}

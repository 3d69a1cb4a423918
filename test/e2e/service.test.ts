import { readdir, mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createScratch, eventually, type Json } from '../support/nodes.ts'
import { startUserManager, type UserManager } from '../support/systemd.ts'
import { IS_LONG } from '../support/long.ts'

const PROGRAM = resolve(import.meta.dirname, '../../scripts/rookery')

type Called = { readonly code: number | null; readonly json: Json }

const caller =
  (manager: UserManager, dataDir: string) =>
  (...args: string[]): Called => {
    const { code, stdout } = manager.run(PROGRAM, ...args, '--json', '--data-dir', dataDir)
    const last = stdout.trim().split('\n').at(-1) ?? ''
    return { code, json: last === '' ? undefined : JSON.parse(last) }
  }

const filesBelow = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name)

let scratch: Awaited<ReturnType<typeof createScratch>>

beforeEach(async () => {
  scratch = await createScratch()
})

afterEach(() => scratch.dispose())

it.runIf(IS_LONG)(
  'runs as a real service: terminals outlive a restart, a crash is mended, and nothing is left at the end',
  async ({ skip }) => {
    const manager =
      (await startUserManager(scratch.path)) ?? skip('a systemd in a namespace of its own takes root and systemd')
    const dataDir = join(scratch.path, 'data %n $HOME')
    const call = caller(manager, dataDir)
    try {
      await mkdir(dataDir, { mode: 0o700 })
      const config = { http: { port: 0 }, p2p: { listen: ['/ip4/127.0.0.1/tcp/0'], mdns: false } }
      await writeFile(join(dataDir, 'config.json'), JSON.stringify(config), { mode: 0o600 })

      const installed = call('service', 'install')
      expect([installed.code, installed.json]).toMatchObject([
        0,
        { installed: true, hint: expect.stringMatching(/linger/) },
      ])
      const first = await eventually(() => pidOf(manager))
      await eventually(() => (call('status').code === 0 ? true : undefined), 60_000)
      expect(call('service', 'status').json).toMatchObject({ installed: true, enabled: true, running: true })

      const session = call('session', 'start', '--agent', 'shell').json.id
      expect(manager.run('systemctl', '--user', 'restart', 'rookery.service').code).toBe(0)
      const second = await eventually(() => pidOf(manager, first))
      await eventually(() => (call('status').code === 0 ? true : undefined), 60_000)
      expect(call('session', 'list').json.map(({ id, status }: Json) => [id, status])).toEqual([[session, 'running']])

      process.kill(second, 'SIGKILL')
      await eventually(() => pidOf(manager, second), 60_000)
      await eventually(() => (call('status').code === 0 ? true : undefined), 60_000)

      expect(call('down', '--kill-sessions').code).toBe(0)
      expect(call('service', 'uninstall').json).toMatchObject({ removed: true })
      expect(await filesBelow(join(manager.home, '.config/systemd'))).toEqual([])
      expect(call('service', 'status').json).toMatchObject({ installed: false, enabled: false, running: false })
      expect(call('service', 'uninstall').json).toMatchObject({ removed: false })
    } finally {
      call('down', '--kill-sessions')
      call('service', 'uninstall')
      await manager.stop()
    }
  },
)

/** The main process of the service, if it runs and is another one than before. */
function pidOf(manager: UserManager, before = 0): number | undefined {
  const { stdout } = manager.run('systemctl', '--user', 'show', '--property=MainPID', '--value', 'rookery.service')
  const pid = Number(stdout)
  return pid > 0 && pid !== before ? pid : undefined
}

import { spawnSync } from 'node:child_process'
import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { installService, serviceState, uninstallService, type Run } from '../../../node/cli/service-control.ts'
import { planService, type Invocation, type ServiceOptions, type ServicePlan } from '../../../node/cli/service-plan.ts'

const OPTIONS: ServiceOptions = {
  scope: 'user',
  name: 'rookery',
  dataDir: '/home/ada/.rookery',
  program: '/opt/rookery/scripts/rookery',
  user: 'ada',
  uid: 1000,
  home: '/home/ada',
  path: '/usr/local/bin:/usr/bin',
  isHardened: false,
}

function plan(platform: NodeJS.Platform, change: Partial<ServiceOptions> = {}): ServicePlan {
  const made = planService(platform, { ...OPTIONS, ...change })
  if (!made) throw new Error(`no plan for ${platform}`)
  return made
}

const scratches: string[] = []
afterEach(async () => {
  for (const path of scratches.splice(0)) await rm(path, { recursive: true })
})

async function scratch(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rk-service-'))
  scratches.push(path)
  return path
}

describe('the unit for systemd', () => {
  it('is this, for a user', () => {
    const { file, text } = plan('linux')
    expect(file).toBe('/home/ada/.config/systemd/user/rookery.service')
    expect(text).toMatchSnapshot()
  })

  it('is this, for the machine, hardened', () => {
    const { file, text } = plan('linux', { scope: 'system', name: 'rookery-two', isHardened: true })
    expect(file).toBe('/etc/systemd/system/rookery-two.service')
    expect(text).toMatchSnapshot()
  })

  it.for([
    ['user', false],
    ['user', true],
    ['system', false],
    ['system', true],
  ] as const)('is accepted by systemd (%s, hardened: %s)', async ([scope, isHardened], { skip }) => {
    if (spawnSync('systemd-analyze', ['--version']).status !== 0) skip('systemd-analyze is not installed')
    const folder = await scratch()
    const file = join(folder, 'rookery.service')
    // What it names must be there: systemd looks.
    await writeFile(file, plan('linux', { scope, isHardened, program: '/bin/sh', user: 'root' }).text)
    const args = ['verify', ...(scope === 'user' ? ['--user'] : []), '--man=no', '--recursive-errors=one', file]
    const { status, stderr } = spawnSync('systemd-analyze', args, {
      encoding: 'utf8',
      env: { ...process.env, XDG_RUNTIME_DIR: folder },
    })
    expect([status, stderr]).toEqual([0, ''])
  })
})

describe('the property list for launchd (never run: there was no Mac to try it on)', () => {
  it('is this, for a user', () => {
    const { file, text } = plan('darwin', { home: '/Users/ada', dataDir: '/Users/ada/R & D/<x>' })
    expect(file).toBe('/Users/ada/Library/LaunchAgents/org.rookery.rookery.plist')
    expect(text).toMatchSnapshot()
  })

  it('is this, for the machine', () => {
    const { file, text } = plan('darwin', { scope: 'system', home: '/Users/ada' })
    expect(file).toBe('/Library/LaunchDaemons/org.rookery.rookery.plist')
    expect(text).toMatchSnapshot()
  })
})

it('has no plan for a system it does not know', () => {
  expect(planService('win32', OPTIONS)).toBeUndefined()
})

/** A manager of services that does as told, or fails at one word. */
function manager(failsAt?: string): { run: Run; said: string[] } {
  const said: string[] = []
  const run = async (invocation: Invocation) => {
    const line = invocation.join(' ')
    said.push(line)
    const isBad = failsAt !== undefined && line.includes(failsAt)
    return { code: isBad ? 1 : 0, stdout: '', stderr: isBad ? 'line one\nFailed to connect to bus' : '' }
  }
  return { run, said }
}

const filesOf = async (plan: ServicePlan): Promise<string[]> => await readdir(dirname(plan.file)).catch(() => [])

describe('installing', () => {
  it('writes the unit, starts it, and undoes both without a trace', async () => {
    const here = plan('linux', { home: await scratch() })
    const { run, said } = manager()
    await installService(here, run)
    expect(await readFile(here.file, 'utf8')).toBe(here.text)
    expect(await serviceState(here, run)).toMatchObject({ installed: true, enabled: true, running: true })
    expect(await uninstallService(here, run)).toBe(true)
    expect(await filesOf(here)).toEqual([])
    expect(said.map((line) => line.replace('systemctl --user ', ''))).toEqual([
      'daemon-reload',
      'enable rookery.service',
      'restart rookery.service',
      'is-enabled rookery.service',
      'is-active rookery.service',
      'disable --now rookery.service',
      'daemon-reload',
    ])
  })

  it('leaves nothing behind when the service cannot be started, and says what failed', async () => {
    const here = plan('linux', { home: await scratch() })
    await expect(installService(here, manager('restart').run)).rejects.toThrow(
      '`systemctl --user restart rookery.service` failed with 1: Failed to connect to bus. Nothing was installed.',
    )
    expect(await filesOf(here)).toEqual([])
  })

  it('puts the earlier unit back when a new one cannot be started', async () => {
    const home = await scratch()
    const [before, after] = [plan('linux', { home }), plan('linux', { home, isHardened: true })]
    await installService(before, manager().run)
    await expect(installService(after, manager('restart').run)).rejects.toThrow('failed with 1')
    expect(await readFile(before.file, 'utf8')).toBe(before.text)
  })

  it('leaves a unit alone that somebody else wrote', async () => {
    const here = plan('linux', { home: await scratch() })
    await mkdir(dirname(here.file), { recursive: true })
    await writeFile(here.file, '[Service]\nExecStart=/bin/true\n')
    const { run, said } = manager()
    await expect(installService(here, run)).rejects.toThrow('left alone')
    await expect(uninstallService(here, run)).rejects.toThrow('left alone')
    expect([await readFile(here.file, 'utf8'), said]).toEqual(['[Service]\nExecStart=/bin/true\n', []])
  })

  it('does not pass for gone, or for ended, when systemd cannot be reached', async () => {
    const here = plan('linux', { home: await scratch() })
    await installService(here, manager().run)
    const unreachable = manager('systemctl').run
    await expect(uninstallService(here, unreachable)).rejects.toThrow(
      '`systemctl --user disable --now rookery.service` failed with 1: Failed to connect to bus. The service is as it was',
    )
    await expect(serviceState(here, unreachable)).rejects.toThrow('is-enabled')
    expect(await readFile(here.file, 'utf8')).toBe(here.text)
  })

  it('finds nothing to remove where nothing is', async () => {
    const here = plan('linux', { home: await scratch() })
    const { run, said } = manager()
    expect([await uninstallService(here, run), said]).toEqual([false, []])
    expect((await serviceState(here, run)).installed).toBe(false)
  })

  it('unloads an agent of launchd before it loads the new one: it takes no label twice', async () => {
    const here = plan('darwin', { home: await scratch() })
    const { run, said } = manager()
    await installService(here, run)
    await installService(here, run)
    expect(said.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'launchctl bootstrap',
      'launchctl bootout',
      'launchctl bootstrap',
    ])
  })
})

import { join } from 'node:path'
import { launchdPlist } from './service-launchd.ts'
import { systemdUnit } from './service-systemd.ts'

/** For one user, while it is logged in (or lingers), or for the machine, from its start. */
export type ServiceScope = 'user' | 'system'

export type ServiceOptions = {
  readonly scope: ServiceScope
  /** Of the unit; a second node on the machine needs another. */
  readonly name: string
  readonly dataDir: string
  /** The program: the script that finds the Node.js it came with. */
  readonly program: string
  /** Whom the node runs as; for `system`. */
  readonly user: string
  readonly uid: number
  readonly home: string
  /** Where agents are looked for: a service does not read the profile of a shell. */
  readonly path: string
  readonly isHardened: boolean
}

export type Invocation = readonly [file: string, ...args: string[]]

/** What to write where, and how the system is told. */
export type ServicePlan = {
  readonly manager: 'systemd' | 'launchd'
  readonly file: string
  readonly text: string
  /** Whether the manager has it, and runs it: one line each, whatever the exit code. */
  readonly ask: { readonly enabled: Invocation; readonly active: Invocation }
  readonly start: readonly Invocation[]
  readonly stop: readonly Invocation[]
  /** After the file is gone. */
  readonly forget: readonly Invocation[]
}

export function planService(platform: NodeJS.Platform, options: ServiceOptions): ServicePlan | undefined {
  if (platform === 'linux') return systemdPlan(options)
  return platform === 'darwin' ? launchdPlan(options) : undefined
}

function systemdPlan(options: ServiceOptions): ServicePlan {
  const { scope, name, home } = options
  const unit = `${name}.service`
  const systemctl = (...args: string[]): Invocation => ['systemctl', ...(scope === 'user' ? ['--user'] : []), ...args]
  return {
    manager: 'systemd',
    file: scope === 'user' ? join(home, '.config/systemd/user', unit) : join('/etc/systemd/system', unit),
    text: systemdUnit(options),
    ask: { enabled: systemctl('is-enabled', unit), active: systemctl('is-active', unit) },
    start: [systemctl('daemon-reload'), systemctl('enable', unit), systemctl('restart', unit)],
    stop: [systemctl('disable', '--now', unit)],
    forget: [systemctl('daemon-reload')],
  }
}

function launchdPlan(options: ServiceOptions): ServicePlan {
  const { scope, name, home, uid } = options
  const label = launchdLabel(name)
  const domain = scope === 'user' ? `gui/${uid}` : 'system'
  const folder = scope === 'user' ? join(home, 'Library/LaunchAgents') : '/Library/LaunchDaemons'
  const file = join(folder, `${label}.plist`)
  const print: Invocation = ['launchctl', 'print', `${domain}/${label}`]
  return {
    manager: 'launchd',
    file,
    text: launchdPlist(label, options),
    ask: { enabled: print, active: print },
    start: [['launchctl', 'bootstrap', domain, file]],
    stop: [['launchctl', 'bootout', `${domain}/${label}`]],
    forget: [],
  }
}

const launchdLabel = (name: string): string => `org.rookery.${name}`

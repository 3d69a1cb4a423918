import { execFile } from 'node:child_process'
import { homedir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { InvalidArgumentError, Option, type Command } from 'commander'
import { command, controlSocket, defaultDataDir, group, print, type CommonOptions } from '../command.ts'
import { nodeState } from '../control-client.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import {
  installService,
  isManagerThere,
  serviceState,
  uninstallService,
  type Run,
  type ServiceState,
} from '../service-control.ts'
import { planService, type ServicePlan } from '../service-plan.ts'
import { packageRoot } from '../version.ts'

type ServiceFlags = CommonOptions & {
  system?: boolean
  name: string
  hardened?: boolean
  dryRun?: boolean
  user?: string
}

export function serviceCommand(): Command {
  return group('service', 'run the node as a service of this machine: install, uninstall, status')
    .addCommand(install())
    .addCommand(uninstall())
    .addCommand(status())
}

const service = (name: string, description: string): Command =>
  command(name, description)
    .option('--system', 'for the machine, from its start, instead of for this user (needs root)')
    .addOption(new Option('--name <name>', 'name of the unit').default('rookery').argParser(unitName))

function unitName(text: string): string {
  if (!/^[a-z][a-z0-9-]{0,40}$/.test(text)) throw new InvalidArgumentError('Use a-z, 0-9 and -.')
  return text
}

function install(): Command {
  return service('install', 'start the node now and whenever the machine (or this user) starts')
    .option('--user <name>', 'whom the node runs as (with --system; default: whoever called sudo)')
    .option('--hardened', 'nothing in a terminal can become root: no sudo, no rootless containers')
    .option('--dry-run', 'print the unit and install nothing')
    .action(async (options: ServiceFlags) => {
      const plan = planOf(options)
      if (options.dryRun)
        return print(options, { file: plan.file, text: plan.text }, () => [`# ${plan.file}`, plan.text.trimEnd()])
      await refuseWithoutManager(plan)
      await refuseRunningNode(options, plan)
      await installService(plan, run)
      const hint = await lingerHint(options)
      return print(options, { installed: true, file: plan.file, hint }, () => [
        `The node runs as a service now (${plan.file}). Terminals outlive its restarts.`,
        ...(hint === null ? [] : [hint]),
      ])
    })
}

function uninstall(): Command {
  return service('uninstall', 'stop the service and remove it; data and sessions stay').action(
    async (options: ServiceFlags) => {
      const plan = planOf(options)
      const removed = await uninstallService(plan, run)
      print(options, { removed, file: plan.file }, () => [
        removed
          ? `The service is gone (${plan.file}). Data and sessions are as they were.`
          : 'No service is installed.',
      ])
    },
  )
}

function status(): Command {
  return service('status', 'show whether the node is installed as a service, and runs').action(
    async (options: ServiceFlags) => {
      const plan = planOf(options)
      const state = await serviceState(plan, run)
      const hint = state.installed ? await lingerHint(options) : null
      print(options, { ...state, manager: plan.manager, hint }, () => [
        stateWords(state, plan.manager),
        ...(hint === null ? [] : [hint]),
      ])
    },
  )
}

function stateWords({ installed, file, enabled, running }: ServiceState, manager: string): string {
  if (!installed) return 'No service is installed. `rookery service install` does it.'
  return `${file}: ${enabled ? 'starts by itself' : `not known to ${manager}`}, ${running ? 'runs' : 'does not run'}.`
}

function planOf({ system, name, dataDir, hardened, user }: ServiceFlags): ServicePlan {
  const self = userInfo()
  const runsAs = user ?? (system ? process.env.SUDO_USER : undefined) ?? self.username
  if (runsAs !== self.username && dataDir === defaultDataDir(process.env))
    throw new CommandFailure(`Say which data directory of ${runsAs} is meant: --data-dir.`, EXIT.usage)
  const plan = planService(process.platform, {
    scope: system ? 'system' : 'user',
    name,
    dataDir: resolve(dataDir),
    program: join(packageRoot(), 'scripts/rookery'),
    user: runsAs,
    uid: self.uid,
    home: homedir(),
    path: process.env.PATH ?? '',
    isHardened: hardened ?? false,
  })
  if (plan) return plan
  throw new CommandFailure(
    `There are no services for ${process.platform} yet: start \`rookery up\` yourself.`,
    EXIT.refused,
  )
}

async function refuseWithoutManager(plan: ServicePlan): Promise<void> {
  if (await isManagerThere(plan)) return
  throw new CommandFailure(
    'systemd does not run on this machine (a container, or another init system): nothing was installed. --dry-run prints the unit.',
    EXIT.refused,
    { code: 'no_service_manager' },
  )
}

/** The service would fail to start: two nodes cannot share a data directory. One that is the service is replaced. */
async function refuseRunningNode(options: ServiceFlags, plan: ServicePlan): Promise<void> {
  if ((await serviceState(plan, run)).running) return
  const state = await nodeState(controlSocket(options), AbortSignal.timeout(5000))
  if (state === 'running' || state === 'silent')
    throw new CommandFailure(
      `A node already runs on ${resolve(options.dataDir)}. Stop it first: \`rookery down\` (sessions go on).`,
      EXIT.refused,
    )
}

/** A service of a user ends when the user has logged out everywhere, unless it lingers. */
async function lingerHint({ system }: ServiceFlags): Promise<string | null> {
  if (system || process.platform !== 'linux') return null
  const { username } = userInfo()
  const { stdout } = await run(['loginctl', 'show-user', username, '--property=Linger'])
  return stdout.includes('Linger=yes')
    ? null
    : `It ends when you have logged out. So that it does not: \`loginctl enable-linger ${username}\`.`
}

const NOT_FOUND = 127

const run: Run = ([file, ...args]) =>
  new Promise((done) => {
    execFile(file, args, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : NOT_FOUND
      done({ code, stdout, stderr: stderr || (error?.message ?? '') })
    })
  })

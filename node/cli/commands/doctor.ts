import { access, constants, readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { ask, command, controlSocket, print, type CommonOptions } from '../command.ts'
import { loadConfig, type Config } from '../config.ts'
import { nodeState } from '../control-client.ts'
import { checkDisk } from '../doctor-disk.ts'
import { checkGovernance } from '../doctor-governance.ts'
import { checkStorage } from '../doctor-storage.ts'
import { meshFindings } from '../doctor-mesh.ts'
import { checkSignIn } from '../doctor-sign-in.ts'
import { processFindings } from '../doctor-process.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { bad, type Finding, good, warn } from '../finding.ts'
import type { HealthView } from '../health-view.ts'
import { SILENT_REMEDY } from '../patience.ts'

export function doctorCommand(): Command {
  return command('doctor', 'examine this machine and say what to mend').action(async (options: CommonOptions) => {
    const findings = await examine(resolve(options.dataDir))
    print(options, { findings }, () =>
      findings.flatMap((f) => [
        `${MARKS[f.state]} ${f.check}: ${f.found}`,
        ...(f.remedy === null ? [] : [`    → ${f.remedy}`]),
      ]),
    )
    if (findings.some(({ state }) => state === 'problem')) process.exitCode = EXIT.refused
  })
}

const MARKS = { ok: '✓', warning: '!', problem: '✗' } as const

export async function examine(dataDir: string): Promise<readonly Finding[]> {
  const config = await loadConfig(dataDir, process.env, {}).catch((error: unknown) => error)
  const isLoaded = typeof config === 'object' && config !== null && 'config' in config
  const configuration: Finding = isLoaded
    ? good('configuration', 'valid')
    : bad(
        'configuration',
        config instanceof Error ? config.message : String(config),
        'Mend the file or the flag it names.',
      )
  const state = await nodeState(controlSocket({ dataDir }), AbortSignal.timeout(ANSWER_MS))
  return [
    checkNode(),
    ...(await checkNativeModules()),
    configuration,
    ...(await checkDataDirectory(dataDir)),
    ...(await checkDisk(dataDir)),
    ...NODE_STATES[state],
    ...(state === 'running' ? await checkRunning(dataDir) : []),
    ...(isLoaded && state === 'stopped' ? [await checkPort((config as { config: Config }).config)] : []),
    ...(isLoaded ? await checkSignIn(dataDir, (config as { config: Config }).config) : []),
    checkClock(),
    ...(await checkAgents()),
    ...(await checkInotify()),
  ]
}

const NODE_MAJOR_MIN = 24

function checkNode(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  return major >= NODE_MAJOR_MIN
    ? good('Node.js', process.version)
    : bad(
        'Node.js',
        process.version,
        'Run `npm ci` in the clone (it brings Node 24) and start through scripts/rookery.',
      )
}

async function checkNativeModules(): Promise<Finding[]> {
  const modules = {
    level: () => import('level'),
    'node-pty': () => import('@lydell/node-pty'),
    argon2: () => import('@node-rs/argon2'),
  }
  return await Promise.all(
    Object.entries(modules).map(async ([name, load]) => {
      try {
        await load()
        return good(`native module ${name}`, 'loads')
      } catch (error) {
        const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
        return bad(
          `native module ${name}`,
          why,
          'Run `npm ci` again on this machine; native modules do not move between platforms.',
        )
      }
    }),
  )
}

const NAME_ANOTHER = 'Run this as the user of the node, or name another directory with --data-dir.'

async function checkDataDirectory(dataDir: string): Promise<Finding[]> {
  const facts = await stat(dataDir).catch((error: NodeJS.ErrnoException) => error)
  if (facts instanceof Error)
    return facts.code === 'ENOENT'
      ? [warn('data directory', `${dataDir} does not exist yet`, '`rookery up` creates it.')]
      : [bad('data directory', facts.message, NAME_ANOTHER)]
  const own = process.getuid?.()
  if (own !== undefined && facts.uid !== own)
    return [bad('data directory', `${dataDir} belongs to another user (uid ${facts.uid})`, NAME_ANOTHER)]
  const mode = facts.mode & 0o777
  const modeFinding =
    (mode & 0o077) === 0
      ? good('data directory', `${dataDir}, mode ${mode.toString(8)}`)
      : bad(
          'data directory',
          `${dataDir} has mode ${mode.toString(8)}: others can read the keys`,
          `chmod 700 '${dataDir}'`,
        )
  const writable = await access(dataDir, constants.W_OK).then(
    () => true,
    () => false,
  )
  return writable
    ? [modeFinding]
    : [modeFinding, bad('data directory', 'not writable', `Make ${dataDir} writable for this user.`)]
}

/** A node under load answers in milliseconds, on a very slow machine in a second or two. */
const ANSWER_MS = 10_000

const NODE_STATES = {
  running: [good('node', 'running')],
  stopped: [warn('node', 'not running', 'Start it with `rookery up`.')],
  silent: [
    bad(
      'node',
      `running, but it has not answered for ${ANSWER_MS / 1000} s: its event loop is blocked, or the process is stopped`,
      SILENT_REMEDY,
    ),
  ],
  /** What is said of the data directory says why. */
  unknown: [],
} as const

async function checkRunning(dataDir: string): Promise<Finding[]> {
  const health = await ask<HealthView>({ dataDir }, 'node.health').catch((error: unknown) => {
    if (error instanceof CommandFailure) return error
    throw error
  })
  if (health instanceof CommandFailure) return [warn('node', health.message, 'Restart it, then look again.')]
  const [governance, storage] = [await checkGovernance(dataDir), await checkStorage(dataDir)]
  return [...processFindings(health), ...meshFindings(health, Date.now()), ...governance, ...storage]
}

async function checkPort({ http: { host, port }, gateway }: Config): Promise<Finding> {
  if (!gateway || port === 0) return good('gateway port', gateway ? 'chosen at start' : 'no gateway')
  const problem = await new Promise<string | undefined>((done) => {
    const probe = createServer()
    probe.once('error', (error) => done(error.message))
    probe.listen(port, host, () => probe.close(() => done(undefined)))
  })
  return problem === undefined
    ? good('gateway port', `${host}:${port} is free`)
    : bad('gateway port', problem, `Choose another with --http ${host}:<port>, or end what uses it.`)
}

/** Leases need no right wall clock; certificates, tickets and tokens that expire do. */
const YEAR_OF_THIS_PROGRAM = 2026

function checkClock(): Finding {
  const now = new Date()
  return now.getUTCFullYear() >= YEAR_OF_THIS_PROGRAM
    ? good('clock', now.toISOString())
    : bad(
        'clock',
        now.toISOString(),
        'Set the clock (for instance `timedatectl set-ntp true`): tickets and tokens expire by it.',
      )
}

const AGENTS = ['claude', 'codex', 'opencode', 'gemini'] as const

async function checkAgents(): Promise<Finding[]> {
  const directories = (process.env.PATH ?? '').split(delimiter).filter((directory) => directory !== '')
  const find = async (name: string): Promise<string | undefined> => {
    for (const directory of directories) {
      const path = join(directory, name)
      if (
        await access(path, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return path
    }
    return undefined
  }
  const found = await Promise.all(AGENTS.map(async (name) => [name, await find(name)] as const))
  const present = found.filter(([, path]) => path !== undefined)
  return present.length === 0
    ? [warn('agent CLIs', 'none found on PATH', `Install one (${AGENTS.join(', ')}); shells work without.`)]
    : present.map(([name, path]) => good(`agent CLI ${name}`, path ?? ''))
}

/** A repository with its dependencies has tens of thousands of folders to watch. */
const INOTIFY_WATCHES_MIN = 65_536

async function checkInotify(): Promise<Finding[]> {
  if (process.platform !== 'linux') return []
  const text = await readFile('/proc/sys/fs/inotify/max_user_watches', 'utf8').catch(() => undefined)
  if (text === undefined) return []
  const watches = Number(text)
  return [
    watches >= INOTIFY_WATCHES_MIN
      ? good('inotify watches', `${watches}`)
      : warn('inotify watches', `${watches}`, `sudo sysctl fs.inotify.max_user_watches=${INOTIFY_WATCHES_MIN * 8}`),
  ]
}

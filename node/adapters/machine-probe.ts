import { execFile } from 'node:child_process'
import { realpath, stat } from 'node:fs/promises'
import { arch, homedir, hostname, platform, userInfo } from 'node:os'
import { dirname } from 'node:path'
import type { RepositoryIdentity } from '../../crdt/project.ts'
import { foldsCase } from './case-folding.ts'
import { findProgram, isProgram } from './find-program.ts'
import { childEnvironment } from '../hosts/child-environment.ts'
import { AGENT_CLIS, type FolderFacts, type HostFacts, type MachineProbe } from '../ports/machine-probe.ts'

/** A program that does not tell its version by then is asked no more. */
const VERSION_MS = 3000
/** The whole history of a large repository is walked for its first commit. */
const GIT_MS = 10_000
const OUTPUT_BYTES_MAX = 256 * 1024

/**
 * Facts about this host, found with the given environment (`PATH`, `HOME`, `SHELL`). Further agent CLIs are given by name,
 * with the absolute path of their program where it is not to be looked for.
 */
export function createMachineProbe(
  environment: NodeJS.ProcessEnv = process.env,
  configured: Readonly<Record<string, { readonly file?: string | undefined }>> = {},
): MachineProbe {
  const find = (name: string): string | undefined => findProgram(environment, name)
  let claude: { readonly path: string; readonly version: Promise<string | null> } | undefined

  const claudeVersion = async (path: string): Promise<string | null> => {
    if (claude?.path !== path) claude = { path, version: versionOf(path, environment) }
    return await claude.version
  }
  const agents = async (): Promise<Record<string, string>> => {
    const found: Record<string, string> = {}
    for (const name of new Set([...AGENT_CLIS, ...Object.keys(configured)])) {
      const file = configured[name]?.file ?? find(name)
      if (isProgram(file)) found[name] = file
    }
    return found
  }
  return {
    agents,
    async facts(): Promise<HostFacts> {
      const found = await agents()
      return {
        hostname: hostname(),
        platform: platform(),
        arch: arch(),
        nodeVersion: process.versions.node,
        claudePath: found['claude'] ?? null,
        claudeVersion: found['claude'] === undefined ? null : await claudeVersion(found['claude']),
        agents: found,
      }
    },
    account: () => ({
      shell: [environment['SHELL'], userInfo().shell].find((path) => isProgram(path)) ?? '/bin/sh',
      home: environment['HOME'] ?? homedir(),
    }),
    inspectFolder: async (path) => await inspectFolder(path, { git: find('git'), environment }),
  }
}

type Git = { readonly git: string | undefined; readonly environment: NodeJS.ProcessEnv }

async function inspectFolder(path: string, tools: Git): Promise<FolderFacts> {
  const realPath = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    if (IS_ABSENT.has(error.code ?? '')) return null
    throw error
  })
  if (realPath === null) return { exists: false, isDirectory: false, realPath, repository: null, foldsCase: false }
  const isDirectory = (await stat(realPath)).isDirectory()
  if (!isDirectory) return { exists: true, isDirectory, realPath, repository: null, foldsCase: false }
  const repository = await repositoryOf(realPath, tools)
  return { exists: true, isDirectory, realPath, repository, foldsCase: await foldsCase(realPath) }
}

/** As good as not there: nothing that we could use lies behind such a path. */
const IS_ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'])

async function repositoryOf(folder: string, { git, environment }: Git): Promise<RepositoryIdentity | null> {
  if (git === undefined) return null
  const ask = async (...argv: string[]): Promise<string | undefined> =>
    await run(git, [...HARMLESS, '-C', folder, ...argv], {
      timeoutMs: GIT_MS,
      environment: { ...childEnvironment(environment), ...QUIET_GIT, GIT_CEILING_DIRECTORIES: dirname(folder) },
    })
  // The first commit that a shallow clone knows says nothing about the repository.
  if ((await ask('rev-parse', '--is-shallow-repository'))?.trim() !== 'false') return null
  const roots = (await ask('rev-list', '--max-parents=0', 'HEAD', '--'))?.trim().split('\n')
  const rootCommit = roots?.at(-1) ?? ''
  if (!/^[0-9a-f]{40,64}$/.test(rootCommit)) return null
  const remote = (await ask('config', '--local', '--get', 'remote.origin.url'))?.trim()
  return { rootCommit, remote: remote ? withoutCredentials(remote) : null }
}

/**
 * A repository's own configuration can name programs: hooks, a file system monitor, a pager, transports for objects that
 * a partial clone lacks. None of them is ever run from here.
 */
const HARMLESS = [
  '--no-pager',
  '--no-optional-locks',
  '--no-replace-objects',
  '-c',
  'core.hooksPath=/dev/null',
  '-c',
  'core.fsmonitor=false',
  '-c',
  'safe.bareRepository=explicit',
  '-c',
  'protocol.allow=never',
]
const QUIET_GIT = {
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '/bin/false',
  GIT_NO_LAZY_FETCH: '1',
  /** Older releases do not know the line above; an empty list forbids every transport. */
  GIT_ALLOW_PROTOCOL: '',
}

/** The address is published to the whole mesh: who logs in there, and with what, is nobody's business. */
const withoutCredentials = (remote: string): string => remote.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1')

async function versionOf(path: string, environment: NodeJS.ProcessEnv): Promise<string | null> {
  const text = await run(path, ['--version'], { timeoutMs: VERSION_MS, environment: childEnvironment(environment) })
  return /\d+\.\d+[\w.+-]*/.exec(text ?? '')?.[0].slice(0, 64) ?? null
}

/** What a program prints, or undefined when it fails or takes too long. */
function run(
  file: string,
  argv: readonly string[],
  { timeoutMs, environment }: { timeoutMs: number; environment: Record<string, string> },
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const options = {
      env: environment,
      timeout: timeoutMs,
      maxBuffer: OUTPUT_BYTES_MAX,
      killSignal: 'SIGKILL',
    } as const
    const child = execFile(file, argv, options, (error, stdout) => resolve(error ? undefined : stdout))
    child.stdin?.end()
  })
}

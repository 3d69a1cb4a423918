import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, lstatSync, mkdirSync, openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { childEnvironment } from './child-environment.ts'

/** A host that has said nothing by then has hung. */
const READY_MS = 20_000
/** sockaddr_un holds 108 bytes on Linux and 104 on macOS, the final NUL included. */
const SOCKET_PATH_BYTES_MAX = 100
/** A host needs little memory: it must hold on to none under a flood of output. */
const HOST_FLAGS = ['--max-semi-space-size=2', '--max-old-space-size=96', '--disable-warning=ExperimentalWarning']

/**
 * Starts the process that will own the session in `directory`, in a process session of its own: neither the node's end
 * nor a Ctrl-C in its terminal reaches it. Resolves when it has written `state.json` or ended.
 */
export async function launchHost(directory: string, environment: NodeJS.ProcessEnv): Promise<void> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const program = new URL(`./session-host.${extension}`, import.meta.url).pathname
  const log = openSync(join(directory, 'host.log'), 'a', 0o600)
  try {
    const child = spawn(process.execPath, [...HOST_FLAGS, decodeURIComponent(program), directory], {
      cwd: '/',
      detached: true,
      env: childEnvironment(environment),
      stdio: ['ignore', 'pipe', log],
    })
    child.unref()
    const { stdout } = child
    if (!stdout) throw new Error('the session host has no standard output')
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        child.kill('SIGKILL')
        reject(new Error('the session host did not start in time'))
      }, READY_MS)
      const settle = (): void => {
        clearTimeout(timer)
        stdout.destroy()
        resolve()
      }
      stdout.once('data', settle).once('close', settle)
      child.once('error', reject)
    })
  } finally {
    closeSync(log)
  }
}

/** A path short enough for a socket: in the data directory, else in a private directory among the temporary ones. */
export function socketPath(dataDir: string, sessionId: string): string {
  const name = `${hash(sessionId).slice(0, 12)}.sock`
  for (const directory of [join(dataDir, 'run'), join(tmpdir(), `rookery-${hash(dataDir).slice(0, 12)}`)]) {
    const path = join(directory, name)
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) continue
    makePrivate(directory)
    return path
  }
  throw new Error(`the path of ${dataDir} and that of the temporary directory are too long for a socket`)
}

/** Creates the directory, or makes sure that it is ours alone: anybody can make one under the temporary directory. */
export function makePrivate(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const found = lstatSync(directory)
  const isOurs = found.isDirectory() && found.uid === process.getuid?.() && (found.mode & 0o077) === 0
  if (!isOurs) throw new Error(`${directory} must be a directory of mode 0700 that belongs to you`)
}

const hash = (text: string): string => createHash('sha256').update(text).digest('hex')

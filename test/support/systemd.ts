import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from './nodes.ts'

export type UserManager = {
  readonly home: string
  /** Runs a program where this manager is the user's. */
  run(file: string, ...args: string[]): { code: number | null; stdout: string; stderr: string }
  stop(): Promise<void>
}

/** A `/run` of its own in which systemd counts as booted; gone with the process. */
const START = `
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/systemd/system "$XDG_RUNTIME_DIR" && chmod 700 "$XDG_RUNTIME_DIR" &&
exec /lib/systemd/systemd --user --log-level=warning
`

/**
 * A real systemd as manager of a user whose home is a scratch directory, in a mount namespace of its own. Undefined where
 * the rights or the program for it are missing.
 */
export async function startUserManager(scratch: string): Promise<UserManager | undefined> {
  const home = join(scratch, 'home')
  await mkdir(home)
  const env = { ...process.env, HOME: home, SHELL: '/bin/sh', XDG_RUNTIME_DIR: '/run/user/test' }
  const manager = spawn('unshare', ['-m', 'sh', '-c', START], { env, stdio: 'ignore' })
  const ended = once(manager, 'exit').then(
    () => false,
    () => false, // there is no such program
  )
  const run: UserManager['run'] = (file, ...args) => {
    const { status, stdout, stderr } = spawnSync('nsenter', ['-t', String(manager.pid), '-m', file, ...args], {
      env,
      encoding: 'utf8',
    })
    return { code: status, stdout: stdout ?? '', stderr: stderr ?? '' }
  }
  const isUp = eventually(() => {
    const { stdout } = run('systemctl', '--user', 'is-system-running')
    return /running|degraded/.test(stdout) ? true : undefined
  }).catch(() => false)
  if (!(await Promise.race([isUp, ended]))) {
    manager.kill('SIGKILL')
    return undefined
  }
  return { home, run, stop: () => stop(manager) }
}

async function stop(manager: ChildProcess): Promise<void> {
  const exited = once(manager, 'exit')
  manager.kill('SIGKILL')
  await exited
}

import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { childEnvironment } from '../hosts/child-environment.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import type { HostSleep } from '../ports/host-sleep.ts'

/**
 * Prints what logind announces, and keeps it from going ahead until it ends: its lock is a file descriptor, which Node can
 * neither receive nor hold. It ends with this node, even if that is killed.
 */
const LOGIND = [
  'setpriv',
  '--pdeathsig=TERM',
  'systemd-inhibit',
  '--what=sleep',
  '--mode=delay',
  '--who=Rookery',
  '--why=Tells the other machines',
  'gdbus',
  'monitor',
  '--system',
  '--dest=org.freedesktop.login1',
  '--object-path=/org/freedesktop/login1',
] as const
const IS_THERE = /^The name org\.freedesktop\.login1 is owned by /
const GOES_TO_SLEEP = /\.PrepareForSleep \(true,\)$/
/** Of the time awake: while the host falls asleep there is no new lock to be had. */
const AGAIN_MS = 30_000

export type HostSleepDeps = {
  readonly clock: Pick<Clock, 'after'>
  readonly environment: NodeJS.ProcessEnv
  /** Another program than the one that asks logind, in tests only. */
  readonly command?: readonly [file: string, ...args: string[]]
}

/** Knows from logind when the host goes to sleep; without it, or one of the programs that ask it, it never does. */
export const createHostSleep = (deps: HostSleepDeps): HostSleep => ({
  onSleep(beforeSleep) {
    const watch = new LogindWatch(deps, beforeSleep)
    watch.start()
    return () => watch.stop()
  },
})

class LogindWatch {
  readonly #deps: HostSleepDeps
  readonly #beforeSleep: () => Promise<void>
  #child: ChildProcess | undefined
  #isThere = false
  #isStopped = false
  #cancelAgain: Cancel = () => undefined

  constructor(deps: HostSleepDeps, beforeSleep: () => Promise<void>) {
    this.#deps = deps
    this.#beforeSleep = beforeSleep
  }

  start(): void {
    const { environment, command = LOGIND } = this.#deps
    const [file, ...args] = command
    const child = spawn(file, args, {
      env: childEnvironment(environment),
      shell: false,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    this.#child = child
    child.on('error', () => undefined) // not installed here
    child.once('close', () => this.#ended())
    createInterface(child.stdout).on('line', (line) => this.#read(line))
  }

  stop(): void {
    this.#isStopped = true
    this.#cancelAgain()
    this.#child?.kill()
  }

  #read(line: string): void {
    if (IS_THERE.test(line)) this.#isThere = true
    if (GOES_TO_SLEEP.test(line)) void this.#beforeSleep().finally(() => this.#child?.kill())
  }

  /** Where logind has been it will be again. */
  #ended(): void {
    if (!this.#isStopped && this.#isThere) this.#cancelAgain = this.#deps.clock.after(AGAIN_MS, () => this.start())
  }
}

import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { connect } from 'node:net'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import type { Context } from './benchmark.ts'
import { startChild } from './calls.ts'
import { scratchDirectory } from './mesh-lab.ts'
import type { TcpEchoCalls } from './peers/tcp-echo.ts'
import { median, timeEach } from './statistics.ts'

const SAMPLES = 2000

export type Machine = {
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  readonly date: string
  readonly commit: string
  /** Of 64 bytes between two processes over TCP, p50: what waking another process costs here. */
  readonly echoMicros: number
  /** Appending 400 bytes to a file and making them durable, p50. */
  readonly syncMicros: number
}

/** Measures, beside what the machine says of itself, the two costs that decide about most figures. */
export async function describeMachine(context: Context): Promise<Machine> {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown CPU',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    kernel: `${process.platform} ${release()}`,
    node: process.version,
    date: new Date().toISOString().slice(0, 10),
    commit: commitOf(),
    echoMicros: await echoMicros(context),
    syncMicros: await syncMicros(context),
  }
}

async function echoMicros(context: Context): Promise<number> {
  const server = await startChild<TcpEchoCalls>(context, 'tcp-echo')
  const socket = connect(await server.call('port'), '127.0.0.1')
  socket.setNoDelay(true)
  const message = Buffer.alloc(64)
  const durations = await timeEach(SAMPLES, async () => {
    const echoed = once(socket, 'data')
    socket.write(message)
    await echoed
  })
  socket.destroy()
  await server.stop()
  return median(durations)
}

async function syncMicros(context: Context): Promise<number> {
  const file = openSync(join(await scratchDirectory(context), 'synced'), 'w')
  const record = Buffer.alloc(400, 1)
  const durations = await timeEach(SAMPLES / 4, async () => {
    writeSync(file, record)
    fdatasyncSync(file)
  })
  closeSync(file)
  return median(durations)
}

/** The commit, marked when the measured code is not what was committed. */
function commitOf(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  try {
    const isDirty = git('status', '--porcelain', '--', ':/crdt', ':/protocols', ':/node', ':/gateway') !== ''
    return git('rev-parse', '--short', 'HEAD') + (isDirty ? ' with local changes' : '')
  } catch {
    return 'unknown' // a release has no repository
  }
}

import { spawn, type ChildProcess } from 'node:child_process'
import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import type { Readable } from 'node:stream'
import { ReadStream } from 'node:tty'
import { requireBinary } from '@lydell/node-pty/requireBinary.js'
import type { PtySize } from '../../crdt/session.ts'
import type { SessionSpec } from '../ports/session-host.ts'
import type { Exit } from './broadcast.ts'
import { endProcesses } from './end-processes.ts'

/** Input waiting for a program that does not read; more is refused. */
const INPUT_QUEUE_BYTES_MAX = 256 * 1024
const INPUT_RETRY_MS = 10
/** After the exit, output ends when all writers have closed it, or when nothing came for so long … */
const QUIET_MS = 150
/** … or after this: something left behind goes on writing. Time in which output is paused does not count. */
const DRAIN_MS = 2000

/** What a session controls, wherever it runs. */
export type Program = {
  /** False: the program does not read, and too much waits already. */
  write(bytes: Uint8Array): boolean
  /** A program on pipes reads the end of its input after what was written. */
  endInput(): void
  resize(size: PtySize): void
  setPaused(paused: boolean): void
  /**
   * Ends it and everything it started. Resolves, when nothing more can be done, with what is wrong, or undefined; `onEnd`
   * may come before or after.
   */
  end(graceMs: number): Promise<string | undefined>
}

/** One that runs on this machine. */
export type OwnProgram = Program & { readonly pid: number }

export type ProgramEvents = {
  readonly onOutput: (bytes: Uint8Array, type: 'output' | 'error') => void
  /** The process has ended and all its output has been given. */
  readonly onEnd: (exit: Exit) => void
}

type Start = {
  readonly spec: SessionSpec
  readonly environment: Readonly<Record<string, string>>
  readonly events: ProgramEvents
}

/** Starts the program of a session as leader of a process session of its own. @throws when it cannot be started. */
export async function startProgram(start: Start): Promise<OwnProgram> {
  return start.spec.program.io === 'pty' ? startOnPty(start) : await startOnPipes(start)
}

function startOnPty({ spec, environment, events }: Start): OwnProgram {
  const binding = requireBinary('pty.node')
  const { file, argv } = spec.program
  const env = Object.entries({ ...environment, TERM: 'xterm-256color' }).map(([name, value]) => `${name}=${value}`)
  const { cols, rows } = spec.size
  const onExit = (code: number, signal: number): void => drain.exited(exitOf(code, signalName(signal)))
  const { fd, pid } = binding.fork(file, argv, env, spec.projectPath, cols, rows, -1, -1, false, spawnHelper(), onExit)
  const stream = new ReadStream(fd)
  let open = true
  const drain = createDrain([stream], (exit) => {
    open = false
    stream.destroy()
    events.onEnd(exit)
  })
  stream.on('data', (bytes: Buffer) => {
    drain.touched()
    events.onOutput(bytes, 'output')
  })
  // EIO is how a terminal says that nobody has its other side open any more.
  stream.on('error', () => drain.closed(stream))
  stream.on('end', () => drain.closed(stream))
  // libuv writes to a terminal's master side in a busy loop while it is full, so it is done here.
  const input = createInputQueue((bytes) => (open ? writeSync(fd, bytes) : bytes.byteLength))
  return {
    pid,
    write: input,
    endInput: () => undefined,
    resize: (size) => open && binding.resize(fd, size.cols, size.rows),
    setPaused: (paused) => drain.setPaused(paused),
    end: (graceMs) => endAll(pid, graceMs),
  }
}

async function startOnPipes({ spec, environment, events }: Start): Promise<OwnProgram> {
  const { file, argv, acceptsInput, typed } = spec.program
  const child = spawn(file, argv, {
    cwd: spec.projectPath,
    env: environment,
    detached: true,
    shell: false,
    stdio: [acceptsInput || typed !== null ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  })
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject))
  const { pid, stdout, stderr } = child
  if (pid === undefined || !stdout || !stderr) throw new Error('the program started without its pipes')
  const drain = createDrain([stdout, stderr], (exit) => {
    for (const stream of [stdout, stderr, child.stdin]) stream?.destroy()
    events.onEnd(exit)
  })
  for (const [stream, type] of [[stdout, 'output'] as const, [stderr, 'error'] as const]) {
    stream.on('data', (bytes: Buffer) => {
      drain.touched()
      events.onOutput(bytes, type)
    })
    stream.on('close', () => drain.closed(stream))
    stream.on('error', () => drain.closed(stream))
  }
  child.once('exit', (code, signal) => drain.exited({ exitCode: code, signal }))
  return {
    pid,
    write: (bytes) => writeToPipe(child, bytes),
    endInput: () => child.stdin?.end(),
    resize: () => undefined,
    setPaused: (paused) => drain.setPaused(paused),
    end: (graceMs) => endAll(pid, graceMs),
  }
}

async function endAll(pid: number, graceMs: number): Promise<string | undefined> {
  const left = await endProcesses(pid, graceMs)
  if (left.length === 0) return undefined
  return `Could not end process ${left.map((entry) => String(entry.pid)).join(', ')}.`
}

function writeToPipe({ stdin }: ChildProcess, bytes: Uint8Array): boolean {
  if (!stdin || stdin.destroyed || stdin.writableEnded) return true // it takes no input; what is typed goes nowhere, as with a closed file
  if (stdin.listenerCount('error') === 0) stdin.on('error', () => undefined) // EPIPE: the program closed its input
  if (stdin.writableLength + bytes.byteLength > INPUT_QUEUE_BYTES_MAX) return false
  stdin.write(bytes)
  return true
}

/**
 * Decides when output is complete: after the exit, when every stream has closed, or it stays quiet although it is read.
 * (A process left in the background may hold the streams open for ever.)
 */
function createDrain(streams: readonly Readable[], onDone: (exit: Exit) => void) {
  const open = new Set(streams)
  let exit: Exit | undefined
  let paused = false
  let done = false
  let quietMs = 0
  let drainedMs = 0
  let timer: NodeJS.Timeout | undefined
  const STEP_MS = 25
  const finish = (): void => {
    if (done || !exit) return
    done = true
    clearInterval(timer)
    onDone(exit)
  }
  const step = (): void => {
    if (paused) return
    quietMs += STEP_MS
    drainedMs += STEP_MS
    if (quietMs >= QUIET_MS || drainedMs >= DRAIN_MS) finish()
  }
  return {
    touched: () => void (quietMs = 0),
    closed(stream: Readable) {
      open.delete(stream)
      if (open.size === 0) finish()
    },
    exited(how: Exit) {
      exit = how
      if (open.size === 0) finish()
      else timer = setInterval(step, STEP_MS)
    },
    setPaused(value: boolean) {
      paused = value
      quietMs = 0
      for (const stream of open) {
        if (paused) stream.pause()
        else stream.resume()
      }
    },
  }
}

/** Writes in order through `write`, which takes what it can; false when too much waits. */
function createInputQueue(write: (bytes: Uint8Array) => number): (bytes: Uint8Array) => boolean {
  const queue: Uint8Array[] = []
  let queuedBytes = 0
  let timer: NodeJS.Timeout | undefined
  const push = (): void => {
    timer = undefined
    for (let first = queue[0]; first; first = queue[0]) {
      const written = tryWrite(write, first)
      queuedBytes -= written
      if (written < first.byteLength) {
        queue[0] = first.subarray(written)
        timer = setTimeout(push, INPUT_RETRY_MS)
        return
      }
      queue.shift()
    }
  }
  return (bytes) => {
    if (queuedBytes + bytes.byteLength > INPUT_QUEUE_BYTES_MAX) return false
    queue.push(bytes.slice())
    queuedBytes += bytes.byteLength
    if (!timer) push()
    return true
  }
}

/** How much was taken: nothing when the other side is full, everything when it is gone. */
function tryWrite(write: (bytes: Uint8Array) => number, bytes: Uint8Array): number {
  try {
    return write(bytes)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0
    if (error instanceof Error && 'code' in error && error.code === 'EIO') return bytes.byteLength
    throw error
  }
}

const exitOf = (code: number, signal: string | null): Exit => ({ exitCode: signal ? null : code, signal })

const signalName = (signal: number): string | null =>
  signal === 0 ? null : (Object.entries(constants.signals).find(([, n]) => n === signal)?.[0] ?? `SIG${signal}`)

/** macOS needs a small program to give a child its terminal; elsewhere the path is not used. */
function spawnHelper(): string {
  if (process.platform !== 'darwin') return ''
  return createRequire(import.meta.url).resolve(`@lydell/node-pty-darwin-${process.arch}/spawn-helper`)
}

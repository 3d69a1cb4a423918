import { accessSync, chmodSync, constants, rmSync, statSync, writeSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import type { ProgramState } from '../../protocols/session-stream.ts'
import { createAgentWatch } from './agents/agent-watch.ts'
import { childEnvironment } from './child-environment.ts'
import { createFrameSocket } from './frame-socket.ts'
import { freshState } from './fresh-state.ts'
import { HostSession } from './host-session.ts'
import { startOf } from './process-table.ts'
import { startProgram } from './program.ts'
import { readSpec, writeState, type HostSpec, type HostState } from './session-files.ts'
import { createSessionLog } from './session-log.ts'

/**
 * The process that owns one session. It outlives the node that started it; whoever may open its socket (mode 0600, in a
 * directory of mode 0700) controls it. Its one argument is the session's directory, all else is read from there.
 */
async function main(directory: string): Promise<void> {
  const inheritedUmask = process.umask(0o077)
  const spec = readSpec(directory)
  const host = { pid: process.pid, start: startOf(process.pid) ?? '' }
  const record: HostState = { v: 1, host, program: null, state: freshState(spec.session.size) }
  const save = (change: Partial<HostState>): void => writeState(directory, Object.assign(record, change))
  try {
    await serve({ directory, spec, inheritedUmask, save })
  } catch (error) {
    const problem = (error instanceof Error ? error.message : String(error)).slice(0, 2048)
    save({ state: { ...record.state, status: 'failed', endedAtMs: Date.now(), problem } })
    tellReady()
    process.exit(1)
  }
  tellReady()
}

type Serve = {
  readonly directory: string
  readonly spec: HostSpec
  readonly inheritedUmask: number
  readonly save: (change: Partial<HostState>) => void
}

async function serve({ directory, spec, inheritedUmask, save }: Serve): Promise<void> {
  assertStartable(spec)
  const server = createServer()
  const agent = createAgentWatch({
    spec: spec.session,
    home: process.env['HOME'],
    onChange: (state) => session.agentChanged(state),
  })
  let saved: ProgramState = { ...freshState(spec.session.size), ...agent.state }
  const session = new HostSession({
    timing: spec.timing,
    agent,
    log: createSessionLog(directory, (error) => note('the log cannot be written', error)),
    state: saved,
    onState(state) {
      // A new size or usage alone is not worth a synced write: the node is told, and the end is written whole.
      try {
        if (state.status !== saved.status || state.problem !== saved.problem) save({ state })
        saved = state
      } catch (error) {
        // Whoever is connected is told all the same.
        note('the state cannot be written', error)
      }
    },
    onDone() {
      rmSync(spec.socket, { force: true })
      process.exit(0)
    },
  })
  server.on('connection', (socket) => {
    if (!session.accept((on) => createFrameSocket(socket, on))) socket.destroy()
  })
  await listen(server, spec.socket)
  process.umask(inheritedUmask)
  const program = await startProgram({
    spec: spec.session,
    environment: {
      ...childEnvironment(process.env),
      // What is claimed from within is the session's, and ends with it.
      ROOKERY_INSTANCE: spec.session.id,
      // The node to ask is the one that the session is of, of however many there are on the machine.
      ROOKERY_DATA_DIR: join(directory, '../..'),
    },
    events: {
      onOutput: (bytes, type) => session.output(bytes, type),
      // A rejection is a bug and ends the host.
      onEnd: (exit) => void session.ended(exit, Date.now()),
    },
  }).catch((error: unknown) => {
    server.close()
    rmSync(spec.socket, { force: true })
    throw error
  })
  process.umask(0o077)
  // An end within this turn is not possible: it is told by a later event.
  save({ program: { pid: program.pid, start: startOf(program.pid) ?? '' }, state: saved })
  session.run(program, spec.session.program)
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGPIPE'] as const) process.on(signal, () => undefined)
  process.on('SIGTERM', () => void session.kill())
}

/** Into `host.log`. A disk that is full refuses that, too, and must not end the session by it. */
function note(what: string, error: unknown): void {
  try {
    writeSync(2, `${what}: ${String(error)}\n`)
  } catch {
    // There is nowhere left to say it.
  }
}

async function listen(server: Server, path: string): Promise<void> {
  rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, resolve)
  })
  chmodSync(path, 0o600)
}

/** Says what is wrong in words; the fork itself could only end with an exit code. */
function assertStartable({ session }: HostSpec): void {
  if (!statSync(session.projectPath, { throwIfNoEntry: false })?.isDirectory())
    throw new Error(`${session.projectPath} is not a directory.`)
  try {
    accessSync(session.program.file, constants.X_OK)
  } catch {
    throw new Error(`${session.program.file} cannot be executed.`)
  }
}

/** The node waits for one line, then closes its end; it may also be gone already. */
function tellReady(): void {
  try {
    writeSync(1, 'ready\n')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
}

const [directory] = process.argv.slice(2)
if (directory === undefined) throw new Error('the directory of the session is missing')
await main(directory)

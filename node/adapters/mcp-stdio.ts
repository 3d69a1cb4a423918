import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import { StringDecoder } from 'node:string_decoder'
import { ReadBuffer, serializeMessage } from '@modelcontextprotocol/sdk/shared/stdio.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import type { McpProgram } from '../../crdt/mcp.ts'
import { childEnvironment } from '../hosts/child-environment.ts'
import { endProcesses } from '../hosts/end-processes.ts'
import type { McpProcesses } from './mcp-processes.ts'

/** A server that does not end when it is told to is killed after so long. */
const GRACE_MS = 3000
/** One message: the largest result with room to spare. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024
const STDERR_LINE_CHARS_MAX = 500
/** What has been written before the end is read for so long; something left behind may hold the pipes open. */
const DRAIN_MS = 500

export type StdioServer = {
  readonly transport: Transport
  /** Resolves with the reason when the server and everything it started are gone. */
  readonly ended: Promise<string>
  /** Ends the server with everything it started. */
  close(): Promise<void>
}

type Options = {
  readonly environment: NodeJS.ProcessEnv
  readonly home: string
  readonly processes: McpProcesses
  readonly onStderr: (line: string) => void
}

/** Starts the program as leader of a process session of its own, without a shell. @throws Error that says what is wrong */
export async function startStdioServer(
  program: McpProgram & { transport: 'stdio' },
  { environment, home, processes, onStderr }: Options,
): Promise<StdioServer> {
  const cwd = program.cwd ?? home
  if (!(await stat(cwd).catch(() => undefined))?.isDirectory()) throw new Error(`${cwd} is not a directory.`)
  const child = spawn(program.command, program.args, {
    cwd,
    env: { ...childEnvironment(environment), ...program.env },
    detached: true,
    shell: false,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  try {
    await once(child, 'spawn')
  } catch (cause) {
    throw new Error(spawnProblem(program.command, cause), { cause })
  }
  const { pid } = child
  if (pid === undefined) throw new Error(`${program.command} started without a process`)
  processes.started(pid)
  followStderr(child, onStderr)
  const gone = Promise.withResolvers<string>()
  let isClosing = false
  const end = async (reason: string): Promise<void> => {
    if (isClosing) return
    isClosing = true
    child.stdin?.end()
    await endProcesses(pid, GRACE_MS, 'SIGTERM')
    processes.ended(pid)
    transport.onclose?.()
    gone.resolve(reason)
  }
  child.once('exit', (code, signal) => {
    const reason = signal === null ? `The server ended with exit code ${code}.` : `The server was ended by ${signal}.`
    void Promise.race([once(child, 'close'), patience(DRAIN_MS)]).then(() => end(reason))
  })
  const transport = transportOf(child, (reason) => void end(reason))
  return {
    transport,
    ended: gone.promise,
    async close() {
      void end('It was stopped.')
      await gone.promise
    },
  }
}

function transportOf(child: ChildProcess, fail: (reason: string) => void): Transport {
  const buffer = new ReadBuffer({ maxBufferSize: MESSAGE_BYTES_MAX })
  const transport: Transport = {
    async start() {
      child.stdout?.on('data', (chunk: Buffer) => {
        try {
          buffer.append(chunk)
        } catch {
          fail(`The server sent a message of more than ${MESSAGE_BYTES_MAX / 1024 / 1024} MB.`)
          return
        }
        readMessages(buffer, transport)
      })
    },
    async send(message) {
      const { stdin } = child
      if (!stdin || stdin.destroyed || stdin.writableEnded) throw new Error('the server takes nothing any more')
      if (!stdin.write(serializeMessage(message))) await Promise.race([once(stdin, 'drain'), once(stdin, 'close')])
    },
    close: async () => fail('It was stopped.'),
  }
  // EPIPE: the exit that follows tells the reason.
  for (const stream of [child.stdin, child.stdout, child.stderr])
    stream?.on('error', (error) => transport.onerror?.(error))
  return transport
}

/** A line that is no message is passed over: some servers greet people, too. */
function readMessages(buffer: ReadBuffer, transport: Transport): void {
  for (;;) {
    try {
      const message = buffer.readMessage()
      if (message === null) return
      transport.onmessage?.(message)
    } catch (error) {
      transport.onerror?.(error instanceof Error ? error : new Error(String(error)))
    }
  }
}

function followStderr({ stderr }: ChildProcess, onLine: (line: string) => void): void {
  const decoder = new StringDecoder('utf8')
  let rest = ''
  const tell = (line: string): void => {
    // oxlint-disable-next-line no-control-regex -- what programs say goes to terminals
    const plain = line.replace(/\u001b\[[0-9;]*[A-Za-z]|[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '').trimEnd()
    if (plain !== '') onLine(plain.slice(0, STDERR_LINE_CHARS_MAX))
  }
  stderr?.on('data', (chunk: Buffer) => {
    const lines = (rest + decoder.write(chunk)).split('\n')
    // A line without an end is kept as far as it would be shown.
    rest = (lines.pop() ?? '').slice(0, STDERR_LINE_CHARS_MAX)
    for (const line of lines) tell(line)
  })
  stderr?.on('end', () => tell(rest))
}

function spawnProblem(command: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (code === 'ENOENT')
    return command.startsWith('/')
      ? `${command} is not there.`
      : `${command} was not found on the PATH of the node. Install it, or give its absolute path.`
  if (code === 'EACCES') return `${command} may not be executed by the user of the node.`
  return `${command} could not be started: ${error instanceof Error ? error.message : String(error)}.`
}

const patience = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms).unref())

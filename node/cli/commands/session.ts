import { resolve } from 'node:path'
import type { Duplex } from 'node:stream'
import { Option, type Command } from 'commander'
import type { DomainError } from '../../../crdt/errors.ts'
import type { Machine } from '../../../crdt/machine.ts'
import {
  PROMPT_CHARS_MAX,
  PTY_COLS,
  PTY_ROWS,
  SESSION_LOG_TYPES,
  SESSION_MODES,
  type Session,
  type SessionLogEntry,
} from '../../../crdt/session.ts'
import { ask, attach, command, group, print, table, type CommonOptions } from '../command.ts'
import { encodeFrame, encodeJsonFrame, FRAME, parseJsonPayload, readFrames } from '../attach-frames.ts'
import { CommandFailure, EXIT, failureOf } from '../exit.ts'
import { hasHungUp } from '../hung-up.ts'
import { wireLog, wireSession } from '../wire.ts'

export function sessionCommand(): Command {
  const session = group('session', 'terminals and agents on any machine of the mesh')
  for (const sub of [start(), list(), attachCommand(), logs(), kill(), remove()]) session.addCommand(sub)
  return session
}

type StartOptions = { machine?: string; agent?: string; mode: string; path?: string; prompt?: string; attach?: boolean }

function start(): Command {
  return command('start', 'start a session')
    .option('--machine <name or id>', 'default: this machine')
    .option('--agent <name>', "shell, or an agent CLI; default: the machine's own agent CLI")
    .option('--mode <mode>', SESSION_MODES.join(', '), 'interactive')
    .option('--path <directory>', 'working directory; default: the current one here, the home directory elsewhere')
    .option('--prompt <text>', 'first prompt of the agent; - reads it from standard input')
    .option('--attach', 'attach to it at once')
    .action(async (options: CommonOptions & StartOptions) => {
      const { machine, agent, mode, path } = options
      const prompt = await promptOf(options)
      const session = await ask<Session>(options, 'session.start', {
        mode,
        ...terminalSize(),
        ...(machine === undefined ? {} : { machine }),
        ...(agent === undefined ? {} : { agent }),
        // A relative path can only mean a folder of this machine.
        ...(machine === undefined ? { path: resolve(path ?? '.') } : path === undefined ? {} : { path }),
        ...(prompt === undefined ? {} : { prompt }),
      })
      print(options, wireSession(session, Date.now()), () => [
        `${session.id}  ${session.agent} in ${session.projectPath}`,
      ])
      if (options.attach) await attachTerminal(options, session.id)
    })
}

function list(): Command {
  return command('list', 'list sessions')
    .option('--machine <name or id>', 'default: all machines')
    .action(async (options: CommonOptions & { machine?: string }) => {
      const sessions = await ask<Session[]>(
        options,
        'session.list',
        options.machine === undefined ? {} : { machine: options.machine },
      )
      const names = new Map((await ask<Machine[]>(options, 'machine.list')).map(({ id, name }) => [id, name]))
      const now = Date.now()
      print(
        options,
        sessions.map((s) => wireSession(s, now)),
        () =>
          table([
            ['STATUS', 'MACHINE', 'AGENT', 'MODE', 'TOKENS', 'PATH', 'STARTED', 'ID'],
            ...sessions.map((s) => [
              s.status,
              names.get(s.machineId) ?? s.machineId,
              s.agent,
              s.mode,
              s.usage ? String(s.usage.inputTokens + s.usage.outputTokens) : '-',
              s.projectPath,
              s.startedAt ?? '-',
              s.id,
            ]),
          ]),
      )
    })
}

function attachCommand(): Command {
  return command('attach', 'use a session in this terminal; leave it running with Ctrl-]')
    .argument('<id>')
    .action(async (id: string, options: CommonOptions) => attachTerminal(options, id))
}

type LogsOptions = { type?: string; limit: string }

function logs(): Command {
  return command('logs', 'what a session has printed and was told, newest entries last; also of one that has ended')
    .argument('<id>')
    .addOption(new Option('--type <type>', 'only these entries').choices(SESSION_LOG_TYPES))
    .option('--limit <n>', 'at most so many of the newest entries', '1000')
    .action(async (id: string, options: CommonOptions & LogsOptions) => {
      const { type, limit } = options
      const entries = await ask<SessionLogEntry[]>(options, 'session.logs', {
        id,
        limit: Number(limit),
        ...(type === undefined ? {} : { type }),
      })
      if (options.json) print(options, entries.map(wireLog), () => [])
      // Colours and all, as an attached terminal shows it.
      else if (entries.length > 0) process.stdout.write(`${textOf(entries).replace(/\n$/, '')}\n`)
    })
}

/** As it came; where somebody else has the word, on a line of its own. */
function textOf(entries: readonly SessionLogEntry[]): string {
  return entries
    .map(({ data, type }, at) => {
      const next = entries[at + 1]
      return next && next.type !== type && !data.endsWith('\n') ? `${data}\n` : data
    })
    .join('')
}

function kill(): Command {
  return command('kill', 'end a session with everything it started')
    .argument('<id>')
    .action(async (id: string, options: CommonOptions) => {
      await ask<null>(options, 'session.kill', { id })
      print(options, null, () => [`Session ${id} is ended.`])
    })
}

function remove(): Command {
  return command('rm', 'delete the record and the logs of a session that has ended')
    .argument('<id>')
    .action(async (id: string, options: CommonOptions) => {
      await ask<null>(options, 'session.erase', { id })
      print(options, null, () => [`Nothing is kept of session ${id} any more.`])
    })
}

/** Arguments can be read by every user of the machine; what is piped in cannot. */
async function promptOf({ prompt }: StartOptions): Promise<string | undefined> {
  if (prompt !== '-') return prompt
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk
    if (text.length > PROMPT_CHARS_MAX)
      throw new CommandFailure(`A prompt has at most ${PROMPT_CHARS_MAX} characters.`, EXIT.usage)
  }
  return text.replace(/\r?\n$/, '')
}

/** Ctrl-], as in telnet: the one key an attached session cannot receive. */
const DETACH_BYTE = 0x1d

async function attachTerminal(options: CommonOptions, id: string): Promise<void> {
  const socket = await attach(options, `/session/${encodeURIComponent(id)}`)
  const { stdin } = process
  const sendSize = (): unknown => socket.write(encodeJsonFrame(FRAME.resize, terminalSize()))
  const sendInput = (data: Buffer): void => {
    const detachAt = data.indexOf(DETACH_BYTE)
    const typed = detachAt < 0 ? data : data.subarray(0, detachAt)
    if (typed.length > 0) socket.write(encodeFrame(FRAME.input, typed))
    // Without waiting for the node to hang up, too: it may hang itself.
    if (detachAt >= 0) socket.end(() => socket.destroy())
  }
  if (stdin.isTTY) stdin.setRawMode(true)
  if (process.stdout.isTTY) sendSize()
  process.stdout.on('resize', sendSize)
  stdin.on('data', sendInput)
  try {
    await showOutput(socket)
  } catch (error) {
    if (!hasHungUp(error)) throw error
    process.stderr.write(DETACHED)
  } finally {
    if (stdin.isTTY) stdin.setRawMode(false)
    process.stdout.off('resize', sendSize)
    stdin.off('data', sendInput)
    stdin.pause()
    socket.destroy()
  }
}

const DETACHED = '\r\n[detached; the session runs on]\r\n'

async function showOutput(socket: Duplex): Promise<void> {
  for await (const frame of readFrames(socket)) {
    if (frame.type === FRAME.output) {
      if (!process.stdout.write(frame.payload)) await new Promise((r) => process.stdout.once('drain', r))
    } else if (frame.type === FRAME.refused) throw failureOf(parseJsonPayload(frame) as DomainError)
    else if (frame.type === FRAME.gap)
      process.stderr.write('\r\n[some output was lost: this terminal was too slow]\r\n')
    else if (frame.type === FRAME.exit) {
      const { exitCode } = parseJsonPayload(frame) as { exitCode: number | null }
      process.stderr.write(`\r\n[the session has ended${exitCode === null ? '' : ` with code ${exitCode}`}]\r\n`)
      return
    }
  }
  process.stderr.write(DETACHED)
}

function terminalSize(): { cols: number; rows: number } {
  const within = (value: number | undefined, { min, max, default: usual }: typeof PTY_COLS | typeof PTY_ROWS): number =>
    Math.min(max, Math.max(min, value ?? usual))
  return { cols: within(process.stdout.columns, PTY_COLS), rows: within(process.stdout.rows, PTY_ROWS) }
}

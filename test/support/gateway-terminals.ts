import { randomUUID } from 'node:crypto'
import { once, EventEmitter } from 'node:events'
import { tmpdir } from 'node:os'
import { spawn, type IPty } from '@lydell/node-pty'
import { domainError } from '../../crdt/errors.ts'
import { MachineId, SessionId } from '../../crdt/ids.ts'
import { paginate } from '../../crdt/page.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { hasEnded, PTY_COLS, PTY_ROWS, type Session, type SessionLogEntry } from '../../crdt/session.ts'
import type { EventHub } from '../../node/services/event-hub.ts'
import type { MachineService } from '../../node/services/machine-service.ts'
import {
  VIEWER_WINDOW_BYTES,
  type SessionOutput,
  type SessionService,
  type SessionViewer,
} from '../../node/services/session-service.ts'
import { identity } from './identity.ts'

const RING_BYTES = 1024 * 1024
const LOGS_MAX = 1000

type Terminal = {
  session: Session
  readonly pty: IPty
  readonly logs: SessionLogEntry[]
  readonly changed: EventEmitter
  /** Bytes from `start` on. */
  ring: Buffer
  start: number
}

/** Shells in real PTYs of this process, with a ring of output and windowed viewers. */
export function createMemoryTerminals(
  machines: MachineService,
  events: EventHub,
): SessionService & { end(): Promise<void> } {
  const terminals = new Map<string, Terminal>()
  const find = (id: string): Result<Terminal> => {
    const terminal = terminals.get(id)
    return terminal === undefined ? err(domainError('session_not_found')) : ok(terminal)
  }
  const live = (id: string): Result<Terminal> => {
    const found = find(id)
    return found.ok && hasEnded(found.value.session.status) ? err(domainError('session_ended')) : found
  }
  const log = (terminal: Terminal, type: SessionLogEntry['type'], data: string): void => {
    if (terminal.logs.length >= LOGS_MAX) terminal.logs.shift()
    terminal.logs.push({ id: randomUUID(), type, data, createdAt: new Date().toISOString(), metadata: {} })
  }
  const start = (session: Session): Terminal => {
    const pty = spawn('/bin/sh', [], {
      cols: session.ptySize.cols,
      rows: session.ptySize.rows,
      cwd: session.projectPath,
      env: { PATH: '/usr/local/bin:/usr/bin:/bin', PS1: '$ ', TERM: 'xterm', LANG: 'C.UTF-8' },
      encoding: null,
    })
    const changed = new EventEmitter().setMaxListeners(0)
    const terminal: Terminal = { session, pty, logs: [], changed, ring: Buffer.alloc(0), start: 0 }
    pty.onData((data) => {
      const bytes = Buffer.from(data)
      log(terminal, 'output', bytes.toString())
      const all = Buffer.concat([terminal.ring, bytes])
      const excess = Math.max(0, all.length - RING_BYTES)
      terminal.ring = all.subarray(excess)
      terminal.start += excess
      changed.emit('change')
    })
    pty.onExit(({ exitCode }) => {
      terminal.session = { ...terminal.session, status: 'terminated', exitCode, endedAt: new Date().toISOString() }
      changed.emit('change')
      events.publish({ type: 'session.ended', sessionId: session.id, session: terminal.session })
    })
    return terminal
  }
  return {
    async list(machineId, { status }, page) {
      const machine = await machines.get(machineId)
      if (!machine.ok) return machine
      const all = [...terminals.values()].map(({ session }) => session)
      return ok(
        paginate(
          all.filter((session) => status === undefined || session.status === status),
          page,
        ),
      )
    },
    async create(actor, machineId, input) {
      const node = await machines.nodeOf(machineId)
      if (!node.ok) return node
      const session: Session = {
        id: SessionId.parse(randomUUID()),
        machineId: MachineId.parse(machineId),
        node: identity(1).peer,
        mode: input.mode,
        agent: input.agent ?? 'shell',
        projectPath: input.projectPath ?? tmpdir(),
        status: 'running',
        ptySize: input.ptySize ?? { cols: PTY_COLS.default, rows: PTY_ROWS.default },
        createdAt: new Date().toISOString(),
        startedAt: new Date().toISOString(),
        endedAt: null,
        exitCode: null,
        createdBy: actor.id,
        problem: null,
      }
      terminals.set(session.id, start(session))
      events.publish({ type: 'session.created', sessionId: session.id, session })
      return ok(session)
    },
    async get(id) {
      const found = find(id)
      return found.ok ? ok(found.value.session) : found
    },
    async remove(_actor, id) {
      const found = find(id)
      if (!found.ok) return found
      if (hasEnded(found.value.session.status)) terminals.delete(id)
      else found.value.pty.kill('SIGKILL')
      return ok(null)
    },
    async logs(_actor, id, { limit, type }) {
      const found = find(id)
      if (!found.ok) return found
      return ok(found.value.logs.filter((entry) => type === undefined || entry.type === type).slice(-limit))
    },
    async input(_actor, id, data) {
      const found = live(id)
      if (!found.ok) return found
      log(found.value, 'input', data)
      found.value.pty.write(data)
      return ok(null)
    },
    async resize(_actor, id, size) {
      const found = live(id)
      if (!found.ok) return found
      found.value.pty.resize(size.cols, size.rows)
      found.value.session = { ...found.value.session, ptySize: size }
      return ok(null)
    },
    async attach(_actor, id, { fromSeq, signal }) {
      const found = live(id)
      return found.ok ? ok(viewerOf(found.value, fromSeq, signal)) : found
    },
    async end() {
      for (const { pty, session, changed } of terminals.values()) {
        if (hasEnded(session.status)) continue
        pty.kill('SIGKILL')
        await once(changed, 'change')
      }
    },
  }
}

function viewerOf(terminal: Terminal, fromSeq: number | undefined, signal: AbortSignal): SessionViewer {
  let at = fromSeq ?? terminal.start
  let acknowledged = at
  let isClosed = false
  async function* output(): AsyncGenerator<SessionOutput> {
    for (;;) {
      if (isClosed || signal.aborted) return
      if (at < terminal.start) {
        yield { type: 'gap', from: at, to: terminal.start }
        at = terminal.start
        acknowledged = at
      }
      const room = VIEWER_WINDOW_BYTES - (at - acknowledged)
      const bytes = Uint8Array.from(terminal.ring.subarray(at - terminal.start, at - terminal.start + room))
      if (bytes.length > 0) {
        const seq = at
        at += bytes.length
        yield { type: 'output', seq, bytes }
      } else if (hasEnded(terminal.session.status)) {
        yield { type: 'exit', exitCode: terminal.session.exitCode, signal: null }
        return
      } else await once(terminal.changed, 'change')
    }
  }
  return {
    output: output(),
    acknowledge(seq) {
      acknowledged = seq
      terminal.changed.emit('change')
    },
    input: async (data) => terminal.pty.write(Buffer.from(data).toString()),
    resize: async (size) => terminal.pty.resize(size.cols, size.rows),
    close() {
      isClosed = true
      terminal.changed.emit('change')
    },
  }
}

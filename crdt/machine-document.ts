import type * as Y from 'yjs'
import { z } from 'zod'
import { BridgedMachineId, MachineId, PeerId, SessionId } from './ids.ts'
import { machineIdOf } from './machine-id.ts'
import type { MachineFacts } from './machine.ts'
import { McpState } from './mcp.ts'
import { PTY_COLS, PTY_ROWS, SESSION_MODES, SESSION_STATUSES, SessionUsage, hasEnded, type Session } from './session.ts'

/**
 * Layout of `machine/<peer>`, written only by that machine: flat maps.
 * `facts`: one value under `self`. `sessions`: id → what never changes. `session-states`: id → what does.
 * `mcp`: name of an MCP server that is not stopped → its state. (For bridged machines see `bridge-records.ts`.)
 */
const FACTS = 'facts'
const SESSIONS = 'sessions'
const SESSION_STATES = 'session-states'
const MCP = 'mcp'

/** More sessions than this in one machine's document are not read: a machine keeps far fewer (see `pickExcess`). */
const SESSIONS_READ_MAX = 1000

/** More servers than this are not read: no machine runs so many. */
const MCP_READ_MAX = 1000

const MCP_NAME_CHARS_MAX = 64

/** Ended sessions whose record and logs a machine keeps. With 16 MB of log each this is at most 1.6 GB. */
export const ENDED_SESSIONS_KEPT_MAX = 100

const shortText = z.string().max(512)

export const MachineFactsRecord = z.object({
  name: z.string().min(1).max(128),
  hostname: shortText,
  platform: shortText,
  arch: shortText,
  nodeVersion: shortText,
  rookeryVersion: shortText,
  claudeVersion: shortText.nullable(),
  claudePath: z.string().max(4096).nullable(),
  agents: z.record(z.string().max(64), z.string().max(4096)),
  capabilities: z.array(shortText).max(64),
  /** 0: none may be started. */
  maxSessions: z.int().min(0).max(1000),
  /** Machines of earlier releases do not say. */
  alwaysOn: z.boolean().default(false),
})

const PtySizeRecord = z.object({
  cols: z.int().min(PTY_COLS.min).max(PTY_COLS.max),
  rows: z.int().min(PTY_ROWS.min).max(PTY_ROWS.max),
})

const SessionBody = z.object({
  mode: z.enum(SESSION_MODES),
  agent: z.string().min(1).max(64),
  projectPath: z.string().min(1).max(4096),
  createdAt: z.iso.datetime(),
  createdBy: z.string().min(1).max(128),
})

const SessionState = z.object({
  status: z.enum(SESSION_STATUSES),
  ptySize: PtySizeRecord,
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime().nullable(),
  exitCode: z.int().nullable(),
  problem: z.string().max(2048).nullable(),
  /** Machines of earlier releases do not say. */
  usage: SessionUsage.nullable().default(null),
})

/** A session as it crosses the mesh in answers. */
export const SessionRecord = z.object({
  id: SessionId,
  machineId: MachineId,
  node: PeerId,
  ...SessionBody.shape,
  ...SessionState.shape,
})

/** Where the session runs, when that is a machine without a node that this one bridges. */
const StoredBody = SessionBody.extend({ machine: BridgedMachineId.exactOptional() })

/** The machine's facts, or undefined while it has stated none (or nothing valid). */
export function readMachineFacts(doc: Y.Doc): MachineFacts | undefined {
  return MachineFactsRecord.safeParse(doc.getMap(FACTS).get('self')).data
}

/** Writes the facts when they differ from what is there; tells whether it wrote. */
export function writeMachineFacts(doc: Y.Doc, facts: MachineFacts): boolean {
  return setIfChanged(doc.getMap(FACTS), 'self', MachineFactsRecord.parse(facts))
}

/**
 * Every valid session of the machine's document, those of machines that it bridges, too. Whose document it is comes from
 * its name, never from its content; no session can be said to run on another member's machine.
 */
export function readSessions(doc: Y.Doc, owner: { peer: PeerId; machineId: MachineId }): Session[] {
  const states = doc.getMap(SESSION_STATES)
  const sessions: Session[] = []
  for (const [key, body] of doc.getMap(SESSIONS)) {
    const session = sessionOf(key, { body, state: states.get(key) }, owner)
    if (session) sessions.push(session)
    if (sessions.length >= SESSIONS_READ_MAX) break
  }
  return sessions
}

/** Writes what differs; tells whether it wrote. */
export function writeSession(doc: Y.Doc, session: Session): boolean {
  const isOwn = session.machineId === machineIdOf(session.node)
  const stored = StoredBody.parse({ ...session, ...(!isOwn && { machine: session.machineId }) })
  const body = setIfChanged(doc.getMap(SESSIONS), session.id, stored)
  const state = setIfChanged(doc.getMap(SESSION_STATES), session.id, SessionState.parse(session))
  return body || state
}

export function deleteSession(doc: Y.Doc, id: SessionId): void {
  doc.getMap(SESSIONS).delete(id)
  doc.getMap(SESSION_STATES).delete(id)
}

/**
 * The ended sessions beyond what is kept: the ones that ended first. Those of bridged machines are counted by themselves,
 * so that no agent can crowd out what its gateway remembers of its own.
 */
export function pickExcess(sessions: readonly Session[]): Session[] {
  const ended = sessions
    .filter((session) => hasEnded(session.status))
    .toSorted((a, b) => (b.endedAt ?? '').localeCompare(a.endedAt ?? '') || b.id.localeCompare(a.id))
  const own = ended.filter(({ machineId, node }) => machineId === machineIdOf(node))
  const bridged = ended.filter(({ machineId, node }) => machineId !== machineIdOf(node))
  return [...own.slice(ENDED_SESSIONS_KEPT_MAX), ...bridged.slice(ENDED_SESSIONS_KEPT_MAX)]
}

/** Servers that are not stopped, by name. */
export function readMcpStates(doc: Y.Doc): ReadonlyMap<string, McpState> {
  const states = new Map<string, McpState>()
  for (const [name, value] of doc.getMap(MCP)) {
    const state = McpState.safeParse(value)
    if (state.success && name.length <= MCP_NAME_CHARS_MAX) states.set(name, state.data)
    if (states.size >= MCP_READ_MAX) break
  }
  return states
}

/** Makes the document say just this, writing what differs. */
export function writeMcpStates(doc: Y.Doc, states: ReadonlyMap<string, McpState>): void {
  const map = doc.getMap(MCP)
  for (const name of map.keys()) if (!states.has(name)) map.delete(name)
  for (const [name, state] of states) setIfChanged(map, name, McpState.parse(state))
}

function sessionOf(
  key: string,
  record: { body: unknown; state: unknown },
  owner: { peer: PeerId; machineId: MachineId },
): Session | undefined {
  const id = SessionId.safeParse(key)
  const body = StoredBody.safeParse(record.body)
  const state = SessionState.safeParse(record.state)
  if (!id.success || !body.success || !state.success) return undefined
  const { machine = owner.machineId, ...settled } = body.data
  return { id: id.data, machineId: machine, node: owner.peer, ...settled, ...state.data }
}

function setIfChanged(map: Y.Map<unknown>, key: string, value: object): boolean {
  if (JSON.stringify(map.get(key)) === JSON.stringify(value)) return false
  map.set(key, value)
  return true
}

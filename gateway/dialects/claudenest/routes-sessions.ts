import { z } from 'zod'
import { domainError } from '../../../crdt/errors.ts'
import { MachineId, SessionId } from '../../../crdt/ids.ts'
import { err, ok } from '../../../crdt/result.ts'
import type { Session } from '../../../crdt/session.ts'
import {
  hasEnded,
  PROMPT_CHARS_MAX,
  PTY_COLS,
  PTY_ROWS,
  SESSION_MODES,
  SESSION_STATUSES,
} from '../../../crdt/session.ts'
import { none } from '../../http/dialect.ts'
import type { Wire } from '../../http/dialect.ts'
import { ACROSS_MESH, pageFields, pageOf } from './inputs.ts'
import { route } from './deps.ts'
import { WireLog, wireLog, WireSession, wireSession } from './wire.ts'

const ptySize = z.strictObject({
  cols: z.int().min(PTY_COLS.min).max(PTY_COLS.max),
  rows: z.int().min(PTY_ROWS.min).max(PTY_ROWS.max),
})

/** One request's worth of typing or pasting; the body limit of 1 MB would allow no more than four of them. */
const INPUT_CHARS_MAX = 256 * 1024
const LOGS_MAX = 10_000

const ofMachine = {
  params: z.strictObject({ machine: MachineId }),
  missing: 'machine_not_found',
} as const
const byId = { params: z.strictObject({ id: SessionId }), missing: 'session_not_found', query: none.query } as const

const SessionReply = WireSession.extend({ session: WireSession })
const TicketReply = SessionReply.extend({ websocket_token: z.string() })

const flatSession = (session: Session, nowMs: number): z.infer<typeof SessionReply> => {
  const wire = wireSession(session, nowMs)
  return { ...wire, session: wire }
}

type Opened = { readonly session: Session; readonly ticket: string }
const withTicket = ({ session, ticket }: Opened, { nowMs }: { nowMs: number }): Wire => ({
  data: { ...flatSession(session, nowMs), websocket_token: ticket },
})

export const sessionRoutes = [
  route({
    doc: '5.1 List sessions',
    method: 'GET',
    path: '/api/machines/:machine/sessions',
    policy: { ability: 'session:read' },
    ...ofMachine,
    query: z.object({ status: z.enum(SESSION_STATUSES).exactOptional(), ...pageFields(20) }),
    body: none.body,
    reply: z.array(WireSession),
    run: ({ services }, { params, query }) =>
      services.sessions.list(params.machine, query.status === undefined ? {} : { status: query.status }, pageOf(query)),
    toWire: (page, { nowMs }) => ({ data: page.items.map((session) => wireSession(session, nowMs)), page }),
  }),
  route({
    doc: '5.2 Create session',
    method: 'POST',
    path: '/api/machines/:machine/sessions',
    policy: { ability: 'session:write' },
    errors: ['session_limit', 'session_failed', ...ACROSS_MESH],
    status: 201,
    ...ofMachine,
    query: none.query,
    body: z.strictObject({
      mode: z.enum(SESSION_MODES).default('interactive'),
      agent: z.string().trim().min(1).max(64).exactOptional(),
      project_path: z.string().min(1).max(4096).exactOptional(),
      initial_prompt: z.string().max(PROMPT_CHARS_MAX).exactOptional(),
      pty_size: ptySize.exactOptional(),
    }),
    reply: TicketReply,
    run: async ({ services, tickets }, { actor, params, body, origin }) => {
      const created = await services.sessions.create(actor, params.machine, {
        mode: body.mode,
        ...(body.agent === undefined ? {} : { agent: body.agent }),
        ...(body.project_path === undefined ? {} : { projectPath: body.project_path }),
        ...(body.initial_prompt === undefined ? {} : { initialPrompt: body.initial_prompt }),
        ...(body.pty_size === undefined ? {} : { ptySize: body.pty_size }),
      })
      if (!created.ok) return created
      return ok({ session: created.value, ticket: tickets.issue({ actor, sessionId: created.value.id, origin }) })
    },
    toWire: withTicket,
  }),
  route({
    doc: '5.3 Get session',
    method: 'GET',
    path: '/api/sessions/:id',
    policy: { ability: 'session:read' },
    ...byId,
    body: none.body,
    reply: SessionReply,
    run: ({ services }, { params }) => services.sessions.get(params.id),
    toWire: (session, { nowMs }) => ({ data: flatSession(session, nowMs) }),
  }),
  route({
    doc: '5.4 Delete session',
    method: 'DELETE',
    path: '/api/sessions/:id',
    policy: { ability: 'session:write' },
    errors: ['session_ended', ...ACROSS_MESH],
    ...byId,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.sessions.remove(actor, params.id),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '5.5 Delete the logs and the record of a session that has ended',
    method: 'DELETE',
    path: '/api/sessions/:id/logs',
    policy: { ability: 'session:write' },
    errors: ['session_running', ...ACROSS_MESH],
    ...byId,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.sessions.erase(actor, params.id),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '5.5 Get session logs',
    method: 'GET',
    path: '/api/sessions/:id/logs',
    policy: { ability: 'session:read' },
    errors: ACROSS_MESH,
    ...byId,
    query: z.object({
      limit: z.coerce.number().int().min(1).max(LOGS_MAX).default(1000),
      type: z.enum(['input', 'output', 'error']).exactOptional(),
    }),
    body: none.body,
    reply: z.array(WireLog),
    run: ({ services }, { actor, params, query }) =>
      services.sessions.logs(actor, params.id, {
        limit: query.limit,
        ...(query.type === undefined ? {} : { type: query.type }),
      }),
    toWire: (entries) => ({ data: entries.map(wireLog) }),
  }),
  route({
    doc: '5.6 Attach to session',
    method: 'POST',
    path: '/api/sessions/:id/attach',
    policy: { ability: 'session:read' },
    errors: ['session_ended', ...ACROSS_MESH],
    ...byId,
    body: none.body,
    reply: TicketReply,
    run: async ({ services, tickets }, { actor, params, origin }) => {
      const session = await services.sessions.get(params.id)
      if (!session.ok) return session
      if (hasEnded(session.value.status)) return err(domainError('session_ended'))
      return ok({ session: session.value, ticket: tickets.issue({ actor, sessionId: params.id, origin }) })
    },
    toWire: withTicket,
  }),
  route({
    doc: '5.7 Send input',
    method: 'POST',
    path: '/api/sessions/:id/input',
    policy: { ability: 'session:write' },
    errors: ['session_ended', ...ACROSS_MESH],
    ...byId,
    body: z.strictObject({ data: z.string().max(INPUT_CHARS_MAX) }),
    reply: z.null(),
    run: ({ services }, { actor, params, body }) => services.sessions.input(actor, params.id, body.data),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '5.8 Resize PTY',
    method: 'POST',
    path: '/api/sessions/:id/resize',
    policy: { ability: 'session:write' },
    errors: ['session_ended', ...ACROSS_MESH],
    ...byId,
    body: ptySize,
    reply: z.null(),
    run: ({ services }, { actor, params, body }) => services.sessions.resize(actor, params.id, body),
    toWire: () => ({ data: null }),
  }),
]

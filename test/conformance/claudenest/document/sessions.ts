import { z } from 'zod'
import { count, flatAndNested, rest, shape, text, time, token, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const Session = shape({
  id: uuid,
  machine_id: uuid,
  mode: z.enum(['interactive', 'headless', 'oneshot']),
  project_path: text,
  status: z.enum(['created', 'starting', 'running', 'waiting_input', 'completed', 'error', 'terminated']),
  pty_size: shape({ cols: count, rows: count }),
  /** Null where the agent reports none. */
  total_tokens: count.nullable(),
  total_cost: z.number().nullable(),
  started_at: time.nullable(),
  duration: count,
  formatted_duration: text,
})

export const sessionRows: readonly RestRow[] = [
  rest('5.1', 'GET /api/machines/:machine/sessions', {
    reply: z.array(Session),
    errors: ['MCH_001'],
    says: ['pages, 20 at a time', 'filters by status'],
  }),
  rest('5.2', 'POST /api/machines/:machine/sessions', {
    body: {
      mode: 'interactive',
      project_path: '/home/user/project',
      initial_prompt: 'Refactor the auth module',
      pty_size: { cols: 120, rows: 40 },
    },
    status: 201,
    reply: flatAndNested('session', Session).and(shape({ websocket_token: token('ws_') })),
    errors: ['MCH_001', 'MCH_002'],
    says: [
      'takes the size of the terminal',
      'refuses sizes outside 20..500 by 10..200',
      'runs an agent oneshot: it ends when it has answered',
      'runs an agent headless: it waits for the next input',
      'tells the tokens and the cost that the agent says it has used',
    ],
  }),
  rest('5.3', 'GET /api/sessions/:id', { reply: flatAndNested('session', Session), errors: ['SES_001'] }),
  rest('5.4', 'DELETE /api/sessions/:id', {
    reply: z.null(),
    errors: ['SES_001', 'SES_002'],
    says: ['ends the session'],
  }),
  rest('5.5', 'GET /api/sessions/:id/logs', {
    reply: z.array(
      shape({
        id: text,
        type: z.enum(['input', 'output', 'error']),
        data: text,
        metadata: z.record(text, z.unknown()),
        created_at: time,
      }),
    ),
    errors: ['SES_001'],
    says: ['answers entries by type and limit'],
  }),
  rest('5.6', 'POST /api/sessions/:id/attach', {
    reply: shape({ websocket_token: token('ws_'), session: Session }),
    errors: ['SES_001', 'SES_002'],
  }),
  rest('5.7', 'POST /api/sessions/:id/input', {
    body: { data: 'ls -la\n' },
    reply: z.null(),
    errors: ['SES_001', 'SES_002'],
    says: ['types into the terminal'],
  }),
  rest('5.8', 'POST /api/sessions/:id/resize', {
    body: { cols: 160, rows: 50 },
    reply: z.null(),
    errors: ['SES_001', 'SES_002'],
    says: ['resizes the terminal', 'refuses sizes that make no sense'],
  }),
]

/** The document has no way to delete what was printed and typed, which a person may want gone. */
export const eraseSessionRow: RestRow = rest('5.5', 'DELETE /api/sessions/:id/logs', {
  reply: z.null(),
  errors: ['SES_001'],
  says: ['leaves nothing of a session that has ended', 'leaves a session that runs alone'],
})

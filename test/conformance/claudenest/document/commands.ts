import { z } from 'zod'
import { count, rest, shape, text, time } from './row.ts'
import type { RestRow } from './row.ts'

const Found = shape({
  id: text,
  name: text,
  type: text,
  description: text,
  command: text,
  category: text,
  is_dangerous: z.boolean(),
})
const Listed = Found.extend({ created_at: time })
const Command = Listed.extend({ arguments: z.array(z.unknown()), options: z.array(text) })

const npm = (script: string, description: string, category: string) => ({
  name: `npm run ${script}`,
  type: 'npm',
  description,
  command: `npm run ${script}`,
  category,
  is_dangerous: false,
})

export const commandRows: readonly RestRow[] = [
  rest('12.1', 'GET /api/machines/:machine/commands', {
    reply: z.array(Listed),
    errors: ['MCH_001', 'MCH_002'],
    says: [
      'finds what the projects of the machine can run, by kind and where it is said',
      'pages, 50 at a time',
      'executes nothing of a repository to list it',
    ],
  }),
  rest('12.2', 'GET /api/machines/:machine/commands/search', {
    reply: z.array(Found),
    errors: ['MCH_001', 'MCH_002'],
    says: ['finds by every word, the best names first', 'needs something to search for'],
  }),
  rest('12.3', 'GET /api/machines/:machine/commands/:id', {
    reply: Command,
    errors: ['MCH_001', 'MCH_002', 'CMD_001'],
    says: ['tells what a command takes'],
  }),
  rest('12.4', 'POST /api/machines/:machine/commands', {
    body: { ...npm('build', 'Build production assets', 'build'), arguments: [], options: [] },
    status: 201,
    reply: Command,
    errors: ['MCH_001', 'MCH_002'],
    says: [
      'registers the same once only, and gives another line another id',
      'judges itself what is dangerous',
      'refuses what only a shell could read, and variables that load programs',
    ],
  }),
  rest('12.5', 'POST /api/machines/:machine/commands/bulk', {
    body: {
      commands: [
        npm('dev', 'Start development server', 'development'),
        npm('build', 'Build production assets', 'build'),
      ],
    },
    reply: shape({ registered: count, skipped: count }),
    errors: ['MCH_001', 'MCH_002'],
    says: ['skips what is registered, and registers all or none'],
  }),
  rest('12.6', 'POST /api/machines/:machine/commands/:id/execute', {
    body: { arguments: [], options: ['--force'], cwd: '/home/user/project' },
    reply: shape({ execution_id: text, status: z.literal('queued'), command: text, queued_at: time }),
    errors: ['MCH_001', 'MCH_002', 'CMD_001', 'CMD_002'],
    says: [
      'runs in the folder of the project and keeps output and exit code',
      'streams the output on a channel of its own, also what came before',
      'tells the channels of the machine and the project',
      'hands every word on as it is, whatever a shell would make of it',
      'refuses options that are not registered, variables that load programs, and further words',
      'takes args for arguments',
      'runs nothing under an id whose file says something else by now',
      'runs in projects of the machine only',
    ],
  }),
  rest('12.7', 'DELETE /api/machines/:machine/commands/:id', {
    reply: z.null(),
    errors: ['MCH_001', 'MCH_002', 'CMD_001'],
    says: ['leaves what a file of a project says'],
  }),
  rest('12.8', 'DELETE /api/machines/:machine/commands', {
    reply: shape({ deleted: count }),
    errors: ['MCH_001', 'MCH_002'],
    says: ['removes all that is registered and nothing else'],
  }),
]

const Execution = shape({
  id: text,
  command: text,
  status: z.enum(['queued', 'running', 'completed', 'failed', 'cancelled', 'timed_out', 'lost']),
  exit_code: z.int().nullable(),
  queued_at: time,
  started_at: time.nullable(),
  ended_at: time.nullable(),
})

/** The document starts executions, and has no route to learn what became of them or to end them. */
export const executionRows: readonly RestRow[] = [
  rest('12.6', 'GET /api/machines/:machine/executions', {
    reply: z.array(Execution),
    errors: ['MCH_001'],
    says: ['lists the newest first'],
  }),
  rest('12.6', 'GET /api/executions/:id', { reply: Execution, says: ['tells why a command failed'] }),
  rest('12.6', 'GET /api/executions/:id/logs', {
    reply: z.array(shape({ id: text, type: z.enum(['output', 'error']), data: text, created_at: time })),
    says: ['answers entries by type and limit'],
  }),
  rest('12.6', 'POST /api/executions/:id/cancel', {
    reply: Execution,
    says: ['ends everything that the command started', 'leaves one that is over as it is'],
  }),
]

import { z } from 'zod'
import { count, rest, shape, text, time } from './row.ts'
import type { RestRow } from './row.ts'

const unbuilt = 'commands are not built yet'

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
  rest('12.1', 'GET /api/machines/:machine/commands', { reply: z.array(Listed), errors: ['MCH_001'], unbuilt }),
  rest('12.2', 'GET /api/machines/:machine/commands/search', { reply: z.array(Found), errors: ['MCH_001'], unbuilt }),
  rest('12.3', 'GET /api/machines/:machine/commands/:id', {
    reply: Command,
    errors: ['MCH_001', 'CMD_001'],
    unbuilt,
  }),
  rest('12.4', 'POST /api/machines/:machine/commands', {
    body: { ...npm('build', 'Build production assets', 'build'), arguments: [], options: [] },
    status: 201,
    reply: Command,
    errors: ['MCH_001'],
    unbuilt,
  }),
  rest('12.5', 'POST /api/machines/:machine/commands/bulk', {
    body: {
      commands: [
        npm('dev', 'Start development server', 'development'),
        npm('build', 'Build production assets', 'build'),
      ],
    },
    reply: shape({ registered: count, skipped: count }),
    errors: ['MCH_001'],
    unbuilt,
  }),
  rest('12.6', 'POST /api/machines/:machine/commands/:id/execute', {
    body: { arguments: [], options: ['--force'], cwd: '/home/user/project' },
    reply: shape({ execution_id: text, status: z.literal('queued'), command: text, queued_at: time }),
    errors: ['MCH_001', 'CMD_001', 'CMD_002'],
    unbuilt,
  }),
  rest('12.7', 'DELETE /api/machines/:machine/commands/:id', {
    reply: z.null(),
    errors: ['MCH_001', 'CMD_001'],
    unbuilt,
  }),
  rest('12.8', 'DELETE /api/machines/:machine/commands', {
    reply: shape({ deleted: count }),
    errors: ['MCH_001'],
    unbuilt,
  }),
]

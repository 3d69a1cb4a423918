import { z } from 'zod'
import { count, rest, shape, text, time } from './row.ts'
import type { RestRow } from './row.ts'

const unbuilt = 'skills are not built yet'

const Listed = shape({
  id: text,
  path: text,
  name: text,
  description: text,
  enabled: z.boolean(),
  priority: z.int(),
  size_bytes: count,
  last_modified: time,
})
const Skill = shape({
  id: text,
  path: text,
  name: text,
  content: text,
  enabled: z.boolean(),
  /** `version` where the skill's front matter has one. */
  metadata: shape({ tags: z.array(text) }),
})

export const skillRows: readonly RestRow[] = [
  rest('10.1', 'GET /api/machines/:machine/skills', { reply: z.array(Listed), errors: ['MCH_001'], unbuilt }),
  rest('10.2', 'GET /api/machines/:machine/skills/:path', { reply: Skill, errors: ['MCH_001', 'SKL_001'], unbuilt }),
  rest('10.3', 'POST /api/machines/:machine/skills', {
    body: {
      path: 'custom-skill',
      name: 'Custom Skill',
      content: '# Custom Skill\n\nInstructions...',
      description: 'Description of the skill',
      priority: 5,
      metadata: { tags: ['custom'] },
    },
    status: 201,
    reply: Skill,
    errors: ['MCH_001'],
    unbuilt,
  }),
  rest('10.4', 'PATCH /api/machines/:machine/skills/:path', { reply: Skill, errors: ['MCH_001', 'SKL_001'], unbuilt }),
  rest('10.5', 'POST /api/machines/:machine/skills/:path/toggle', {
    reply: shape({ path: text, enabled: z.boolean() }),
    errors: ['MCH_001', 'SKL_001'],
    unbuilt,
  }),
  rest('10.6', 'DELETE /api/machines/:machine/skills/:path', {
    reply: z.null(),
    errors: ['MCH_001', 'SKL_001'],
    unbuilt,
  }),
  rest('10.7', 'POST /api/machines/:machine/skills/bulk', {
    body: {
      updates: [
        { path: 'debugging', enabled: false },
        { path: 'testing', priority: 20 },
      ],
    },
    reply: shape({ updated_count: count }),
    errors: ['MCH_001'],
    unbuilt,
  }),
]

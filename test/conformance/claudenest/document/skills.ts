import { z } from 'zod'
import { count, flatAndNested, rest, shape, text, time } from './row.ts'
import type { RestRow } from './row.ts'

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
const fields = shape({
  id: text,
  path: text,
  name: text,
  content: text,
  enabled: z.boolean(),
  /** `version` where the skill's front matter has one. */
  metadata: shape({ tags: z.array(text) }),
})
const Skill = flatAndNested('skill', fields)

const ofMachine = ['MCH_001', 'MCH_002']
const ofSkill = [...ofMachine, 'SKL_001']

export const skillRows: readonly RestRow[] = [
  rest('10.1', 'GET /api/machines/:machine/skills', {
    reply: z.array(Listed),
    errors: ofMachine,
    says: [
      'finds what lies in the folders of agents, of the user and of projects',
      'pages, 15 at a time, by priority',
      'filters by search, enabled and project_id',
    ],
  }),
  rest('10.2', 'GET /api/machines/:machine/skills/:path', {
    reply: Skill,
    errors: ofSkill,
    says: [
      'takes paths with slashes, dots and any letters, encoded or not',
      'finds a skill by its id and by its file',
      'leads nowhere else',
    ],
  }),
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
    errors: ofMachine,
    says: [
      'keeps all it was given, in a file that agents read',
      'changes the skill that is there, and keeps what it is not given',
      'makes skills of projects and commands',
      'refuses what can be no path',
    ],
  }),
  rest('10.4', 'PATCH /api/machines/:machine/skills/:path', {
    reply: Skill,
    errors: ofSkill,
    says: ['changes what is given and keeps the rest', 'refuses to change a file that it cannot read'],
  }),
  rest('10.5', 'POST /api/machines/:machine/skills/:path/toggle', {
    reply: shape({ path: text, enabled: z.boolean() }),
    errors: ofSkill,
    says: ['takes the file away from agents and gives it back as it was'],
  }),
  rest('10.6', 'DELETE /api/machines/:machine/skills/:path', {
    reply: z.null(),
    errors: ofSkill,
    says: ['removes the skill and keeps a copy on the machine'],
  }),
  rest('10.7', 'POST /api/machines/:machine/skills/bulk', {
    body: {
      updates: [
        { path: 'debugging', enabled: false },
        { path: 'testing', priority: 20 },
      ],
    },
    reply: shape({ updated_count: count }),
    errors: ofMachine,
    says: ['does what it can and names what it cannot', 'takes paths and enabled, as known clients send them'],
  }),
]

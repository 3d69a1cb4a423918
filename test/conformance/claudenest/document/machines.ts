import { z } from 'zod'
import { count, flatAndNested, rest, shape, text, time, token, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const Machine = shape({
  id: uuid,
  name: text,
  platform: text,
  hostname: text,
  arch: text,
  status: z.enum(['online', 'offline', 'connecting']),
  active_sessions_count: count,
  max_sessions: count,
  capabilities: z.array(text),
  last_seen_at: time.nullable(),
  connected_at: time.nullable(),
})

export const machineRows: readonly RestRow[] = [
  rest('4.1', 'GET /api/machines', {
    reply: z.array(Machine),
    says: ['pages, 15 at a time', 'filters by search and status'],
  }),
  rest('4.2', 'POST /api/machines', {
    body: {
      name: 'MacBook Pro',
      platform: 'darwin',
      hostname: 'macbook.local',
      arch: 'arm64',
      node_version: '20.11.0',
      agent_version: '1.0.0',
      claude_version: '1.0.0',
      claude_path: '/usr/local/bin/claude',
      capabilities: ['wake_on_lan', 'gpu'],
      max_sessions: 10,
    },
    status: 201,
    reply: shape({ machine: Machine, token: token('mn_') }),
  }),
  rest('4.3', 'GET /api/machines/:id', { reply: flatAndNested('machine', Machine), errors: ['MCH_001'] }),
  rest('4.4', 'PATCH /api/machines/:id', {
    body: { name: 'MacBook Pro Work', max_sessions: 15, capabilities: ['wake_on_lan', 'gpu', 'mcp'] },
    reply: flatAndNested('machine', Machine),
    errors: ['MCH_001'],
    says: ['keeps what it changed'],
  }),
  rest('4.5', 'DELETE /api/machines/:id', { reply: z.null(), errors: ['MCH_001'], says: ['removes the machine'] }),
  rest('4.6', 'POST /api/machines/:id/regenerate-token', {
    reply: shape({ token: token('mn_') }),
    errors: ['MCH_001'],
    says: [
      'ends the old token at once, at every gateway and on its sockets',
      'has no token for a member, which has a key',
    ],
  }),
  rest('4.7', 'GET /api/machines/:id/environment', {
    reply: shape({
      platform: text,
      hostname: text,
      arch: text,
      node_version: text,
      agent_version: text,
      claude_version: text.nullable(),
      claude_path: text.nullable(),
      capabilities: z.array(text),
      max_sessions: count,
    }),
    errors: ['MCH_001', 'MCH_002'],
  }),
  rest('4.8', 'POST /api/machines/:id/wake', {
    reply: shape({ message: z.literal('Wake-on-LAN signal sent'), machine: Machine }),
    errors: ['MCH_001', 'MCH_003', 'MCH_004'],
  }),
]

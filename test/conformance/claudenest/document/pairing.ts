import { z } from 'zod'
import { rest, shape, text, time, token, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const unbuilt = 'pairing is not built yet'
const code = z.string().regex(/^[A-HJ-NP-Z2-9]{3}-[A-HJ-NP-Z2-9]{3}$/)

export const pairingRows: readonly RestRow[] = [
  rest('3.1', 'POST /api/pairing/initiate', {
    needsToken: false,
    body: { agent_info: { platform: 'linux', hostname: 'dev-box', node_version: '20.11.0', agent_version: '1.0.0' } },
    status: 201,
    reply: shape({ code, token: text, expires_at: time }),
    unbuilt,
  }),
  rest('3.2', 'GET /api/pairing/:code', {
    needsToken: false,
    reply: shape({ status: z.literal('completed'), machine: shape({ id: uuid, token: token('mn_') }) }),
    errors: ['PAR_001', 'PAR_002'],
    unbuilt,
  }),
  rest('3.3', 'POST /api/pairing/:code/complete', {
    body: { name: 'My MacBook Pro' },
    status: 201,
    reply: shape({
      machine: shape({ id: uuid, name: text, platform: text, hostname: text, status: text }),
      pairing: shape({ code, completed_at: time }),
    }),
    errors: ['PAR_001', 'PAR_002', 'PAR_003'],
    unbuilt,
  }),
]

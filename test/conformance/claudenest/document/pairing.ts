import { z } from 'zod'
import { rest, shape, text, time, token, uuid } from './row.ts'
import type { RestRow } from './row.ts'

const code = z.string().regex(/^[A-HJ-NP-Z2-9]{3}-[A-HJ-NP-Z2-9]{3}$/)

export const pairingRows: readonly RestRow[] = [
  rest('3.1', 'POST /api/pairing/initiate', {
    needsToken: false,
    body: { agent_info: { platform: 'linux', hostname: 'dev-box', node_version: '20.11.0', agent_version: '1.0.0' } },
    status: 201,
    reply: shape({ code, token: text, expires_at: time }),
    says: ['gives five minutes', 'takes a code that the agent has made, once', 'lets 20 wait, 10 from one address'],
  }),
  rest('3.2', 'GET /api/pairing/:code', {
    needsToken: false,
    pending: shape({ status: z.literal('pending'), expires_at: time }),
    // Agents read the token and the machine's id flat in the data. Only its initiator gets the token.
    reply: shape({
      status: z.literal('completed'),
      machine: shape({ id: uuid, token: token('mn_').nullable() }),
      machine_id: uuid,
      token: token('mn_').nullable(),
    }),
    errors: ['PAR_001', 'PAR_002'],
    says: [
      'answers 202 while it is pending',
      'gives the machine token to its initiator, once',
      'gives nobody the token for the code alone',
      'gives an agent without a token its own where whoever completes it allows that',
      'takes a wrong token for no pairing, and three of them for the end',
    ],
  }),
  rest('3.3', 'POST /api/pairing/:code/complete', {
    body: { name: 'My MacBook Pro' },
    status: 201,
    reply: shape({
      machine: shape({ id: uuid, name: text, platform: text, hostname: text, status: text }),
      pairing: shape({ code, completed_at: time }),
    }),
    errors: ['PAR_001', 'PAR_002', 'PAR_003'],
    says: [
      'names the machine by its host name where no name is given',
      'succeeds once of twenty at the same time',
      'completes at any gateway of the mesh',
      'makes a machine whose token has the abilities of a machine only',
    ],
  }),
]

/** What people and `rookery pair` need beside it. */
export const morePairingRows: readonly RestRow[] = [
  rest('3', 'GET /api/pairing', {
    reply: shape({
      pairings: z.array(shape({ code, kind: text, name: text, expires_at: time })),
      unreachable: z.array(text),
    }),
    says: ['lists what waits at any gateway'],
  }),
  rest('3', 'POST /api/pairing/:code/refuse', {
    reply: z.null(),
    errors: ['PAR_001'],
    says: ['ends the pairing'],
  }),
  rest('3', 'DELETE /api/pairing/:code', { needsToken: false, reply: z.null(), errors: ['PAR_001'] }),
  rest('3', 'POST /api/pairing/:code/reveal', {
    needsToken: false,
    body: { nonce: 'ab'.repeat(32) },
    reply: z.null(),
    errors: ['PAR_001'],
    says: ['gives both ends the same words, and a man in the middle others'],
  }),
]

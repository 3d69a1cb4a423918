import { z } from 'zod'
import { PeerId } from '../../../crdt/ids.ts'
import { fromHex, toHex } from '../../../protocols/codec.ts'
import { PRINTABLE } from '../../../protocols/membership/records.ts'
import { PAIRING_CODE } from '../../../protocols/pairing.ts'
import type { AgentInfo, PairingOpened, PairingRequest } from '../../../node/services/pairing/pairing.ts'
import { none } from '../../http/dialect.ts'
import { publicRoute, route } from './deps.ts'
import { ACROSS_MESH } from './inputs.ts'
import {
  WireCompletedPairing,
  wireCompletedPairing,
  WirePendingPairing,
  wirePendingPairing,
  WirePolled,
  wirePolled,
  WireProgress,
} from './wire-pairing.ts'

/** What strangers say is shown on terminals. */
const said = (max: number) => z.string().trim().min(1).max(max).regex(PRINTABLE, 'must not contain control characters')
const hex32 = z.hex().length(64).lowercase()

const AgentInfoBody = z.strictObject({
  platform: said(255).exactOptional(),
  hostname: said(255).exactOptional(),
  arch: said(255).exactOptional(),
  node_version: said(255).exactOptional(),
  agent_version: said(255).exactOptional(),
  claude_version: said(255).nullable().exactOptional(),
  claude_path: said(4096).nullable().exactOptional(),
})

const agentInfo = (info: z.infer<typeof AgentInfoBody>): AgentInfo => ({
  ...(info.platform === undefined ? {} : { platform: info.platform }),
  ...(info.hostname === undefined ? {} : { hostname: info.hostname }),
  ...(info.arch === undefined ? {} : { arch: info.arch }),
  ...(info.node_version === undefined ? {} : { nodeVersion: info.node_version }),
  ...(info.agent_version === undefined ? {} : { rookeryVersion: info.agent_version }),
  ...(info.claude_version === undefined ? {} : { claudeVersion: info.claude_version }),
  ...(info.claude_path === undefined ? {} : { claudePath: info.claude_path }),
})

const InitiateBody = z.strictObject({
  agent_info: AgentInfoBody,
  code: z.string().regex(PAIRING_CODE, 'must be like ABC-234, without 0, 1, I and O').exactOptional(),
  name: said(64).exactOptional(),
  /** A node of ours: what it wants is to become a member. */
  node: z.strictObject({ peer_id: PeerId, box_key: hex32, commitment: hex32 }).exactOptional(),
})

const pairingRequest = ({ agent_info, code, name, node }: z.infer<typeof InitiateBody>): PairingRequest => ({
  agent: agentInfo(agent_info),
  ...(code === undefined ? {} : { code }),
  ...(name === undefined ? {} : { name }),
  ...(node === undefined
    ? {}
    : { node: { peer: node.peer_id, boxKey: fromHex(node.box_key), commitment: fromHex(node.commitment) } }),
})

const Opened = z.strictObject({
  code: z.string(),
  token: z.string(),
  expires_at: z.string(),
  gateway: z
    .strictObject({
      mesh_id: z.string(),
      peer_id: z.string(),
      box_key: z.string(),
      nonce: z.string(),
      tls_fingerprint: z.string().nullable(),
    })
    .exactOptional(),
})

const wireOpened = ({ code, token, expiresAt, gateway }: PairingOpened): z.infer<typeof Opened> => ({
  code,
  token,
  expires_at: expiresAt,
  ...(gateway && {
    gateway: {
      mesh_id: gateway.mesh,
      peer_id: gateway.peer,
      box_key: toHex(gateway.boxKey),
      nonce: toHex(gateway.nonce),
      tls_fingerprint: gateway.tlsFingerprint,
    },
  }),
})

/** By the machine itself. Nobody knows it yet: the token of 3.1 is what it proves itself with, and it is not the gate's. */
const byMachine = {
  policy: 'public',
  group: 'pairing',
  params: z.strictObject({ code: z.string().max(64) }),
  missing: 'pairing_not_found',
} as const
const POLL_ERRORS = ['pairing_expired', 'pairing_refused'] as const

const proofIn = (header: (name: string) => string | undefined): string | undefined =>
  /^Bearer ([\x21-\x7e]{1,512})$/i.exec(header('authorization') ?? '')?.[1]

/** By a person. */
const byPerson = {
  params: z.strictObject({ code: z.string().max(64) }),
  missing: 'pairing_not_found',
  query: none.query,
} as const
const HOLDER_ERRORS = [
  'pairing_not_found',
  'pairing_expired',
  'pairing_completed',
  'pairing_refused',
  'pairing_code_taken',
  ...ACROSS_MESH,
] as const

/** The longest a poll may wait, in seconds: below what proxies cut off. */
const WAIT_MAX = 25

export const pairingRoutes = [
  publicRoute({
    doc: '3.1 Initiate pairing',
    method: 'POST',
    path: '/api/pairing/initiate',
    policy: 'public',
    group: 'pairing',
    errors: ['pairing_code_taken', 'forbidden'],
    status: 201,
    params: none.params,
    query: none.query,
    body: InitiateBody,
    reply: Opened,
    run: async ({ services }, { body, address }) => services.pairing.initiate(pairingRequest(body), address),
    toWire: (opened) => ({ data: wireOpened(opened) }),
  }),
  publicRoute({
    doc: '3.2 Poll pairing status',
    method: 'GET',
    path: '/api/pairing/:code',
    ...byMachine,
    errors: POLL_ERRORS,
    query: z.object({ wait: z.coerce.number().int().min(0).max(WAIT_MAX).default(0) }),
    body: none.body,
    reply: WirePolled,
    pending: WireProgress,
    run: ({ services }, { params, query, header }) =>
      services.pairing.poll(params.code, proofIn(header), query.wait * 1000),
    toWire: wirePolled,
  }),
  publicRoute({
    doc: 'Rookery: cancel a pairing of one’s own',
    method: 'DELETE',
    path: '/api/pairing/:code',
    ...byMachine,
    errors: [...POLL_ERRORS, 'pairing_completed'],
    query: none.query,
    body: none.body,
    reply: z.null(),
    run: async ({ services }, { params, header }) => services.pairing.cancel(params.code, proofIn(header)),
    toWire: () => ({ data: null }),
  }),
  publicRoute({
    doc: 'Rookery: open the nonce that a node committed to',
    method: 'POST',
    path: '/api/pairing/:code/reveal',
    ...byMachine,
    errors: [...POLL_ERRORS, 'pairing_completed'],
    query: none.query,
    body: z.strictObject({ nonce: hex32 }),
    reply: z.null(),
    run: async ({ services }, { params, header, body }) =>
      services.pairing.reveal(params.code, proofIn(header), fromHex(body.nonce)),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '3.3 Complete pairing',
    method: 'POST',
    path: '/api/pairing/:code/complete',
    policy: { ability: 'machine:write' },
    errors: [...HOLDER_ERRORS, 'limit_reached'],
    status: 201,
    ...byPerson,
    body: z
      .strictObject({
        name: said(128).exactOptional(),
        words: z.string().max(256).exactOptional(),
        allow_legacy: z.boolean().default(false),
      })
      .prefault({}),
    reply: WireCompletedPairing,
    run: ({ services }, { actor, params, body }) =>
      services.pairing.complete(actor, params.code, {
        allowLegacy: body.allow_legacy,
        ...(body.name === undefined ? {} : { name: body.name }),
        ...(body.words === undefined ? {} : { words: body.words }),
      }),
    toWire: (completed) => ({ data: wireCompletedPairing(completed) }),
  }),
  route({
    doc: 'Rookery: refuse a pairing',
    method: 'POST',
    path: '/api/pairing/:code/refuse',
    policy: { ability: 'machine:write' },
    errors: HOLDER_ERRORS,
    ...byPerson,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.pairing.refuse(actor, params.code),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: 'Rookery: machines that wait to be paired',
    method: 'GET',
    path: '/api/pairing',
    policy: { ability: 'machine:write' },
    ...none,
    reply: z.strictObject({ pairings: z.array(WirePendingPairing), unreachable: z.array(z.string()) }),
    run: ({ services }, { actor }) => services.pairing.list(actor),
    toWire: ({ pairings, unreachable }) => ({
      data: { pairings: pairings.map(wirePendingPairing), unreachable: [...unreachable] },
    }),
  }),
]

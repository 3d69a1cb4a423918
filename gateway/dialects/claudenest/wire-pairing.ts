import { z } from 'zod'
import type { CompletedPairing, PairingProgress, PendingPairing } from '../../../node/services/pairing/pairing.ts'
import type { Wire } from '../../http/dialect.ts'

const text = z.string()

export const WireProgress = z.strictObject({ status: z.literal('pending'), expires_at: text })

/** The token is in the first answer to who started the pairing, and in no other. `token` and `machine_id` are for agents that read them there. */
export const WirePolled = z.strictObject({
  status: z.literal('completed'),
  machine: z.strictObject({ id: text, token: text.nullable() }),
  machine_id: text,
  token: text.nullable(),
  /** Of a node: a ticket, sealed to its box key by the gateway's. */
  sealed: z.strictObject({ nonce: text, box: text }).nullable(),
})

export function wirePolled(progress: PairingProgress): Wire {
  if (progress.status === 'pending')
    return { data: { status: 'pending', expires_at: progress.expiresAt }, isPending: true }
  const { machineId, secret } = progress
  const token = secret !== null && 'token' in secret ? secret.token : null
  const sealed = secret !== null && 'sealed' in secret ? secret.sealed : null
  const data: z.infer<typeof WirePolled> = {
    status: 'completed',
    machine: { id: machineId, token },
    machine_id: machineId,
    token,
    sealed: sealed && { nonce: base64(sealed.nonce), box: base64(sealed.box) },
  }
  return { data }
}

export const WireCompletedPairing = z.strictObject({
  machine: z.strictObject({
    id: text,
    name: text,
    platform: text,
    hostname: text,
    status: z.enum(['online', 'offline', 'connecting']),
  }),
  pairing: z.strictObject({ code: text, completed_at: text }),
})

export const wireCompletedPairing = ({
  machine: { id, name, platform, hostname, status },
  code,
  completedAt,
}: CompletedPairing): z.infer<typeof WireCompletedPairing> => ({
  machine: { id, name, platform, hostname, status },
  pairing: { code, completed_at: completedAt },
})

export const WirePendingPairing = z.strictObject({
  code: text,
  kind: z.enum(['node', 'agent']),
  name: text,
  platform: text,
  hostname: text,
  address: text,
  words: text.nullable(),
  expires_at: text,
  /** Name of the machine whose gateway it called. */
  gateway: text,
})

export const wirePendingPairing = (pending: PendingPairing): z.infer<typeof WirePendingPairing> => ({
  code: pending.code,
  kind: pending.kind,
  name: pending.name,
  platform: pending.platform,
  hostname: pending.hostname,
  address: pending.address,
  words: pending.words,
  expires_at: pending.expiresAt,
  gateway: pending.gateway,
})

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

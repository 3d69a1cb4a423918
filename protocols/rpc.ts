import { z } from 'zod'
import { Actor } from '../crdt/actor.ts'
import { DOMAIN_ERRORS, domainError, type DomainError, type DomainErrorCode } from '../crdt/errors.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'

export const RPC_PROTOCOL = '/rookery/rpc/1'
export const RPC_VERSION = 1

/** Requests and replies alike; files and terminals have streams of their own. */
export const RPC_FRAME_BYTES_MAX = 1024 * 1024

const Id = z.int().min(0)

/** What a caller says: a request, or that it does not want the answer any more. Unknown fields are ignored. */
const FromCaller = z.union([
  z.object({ v: z.int().min(1), id: Id, method: z.string().min(1).max(128), actor: Actor, input: z.unknown() }),
  z.object({ v: z.int().min(1), cancel: Id }),
])
export type FromCaller = z.infer<typeof FromCaller>

const Details = z.object({
  fields: z.record(z.string(), z.array(z.string())).exactOptional(),
  holder: z
    .object({ instanceId: z.string(), reason: z.string().exactOptional(), expiresAt: z.string().exactOptional() })
    .exactOptional(),
  missingVoters: z.array(z.string()).exactOptional(),
  retryAfterMs: z.number().exactOptional(),
})

const Reply = z.union([
  z.object({ v: z.int().min(1), id: Id, ok: z.literal(true), value: z.unknown() }),
  z.object({
    v: z.int().min(1),
    id: Id,
    ok: z.literal(false),
    error: z.object({ code: z.string().max(64), message: z.string(), details: Details.exactOptional() }),
  }),
])
export type Reply = z.infer<typeof Reply>

type Answer =
  | { readonly v: number; readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly v: number; readonly id: number; readonly ok: false; readonly error: DomainError }

export const encodeRpc = (message: FromCaller | Answer): Uint8Array => encodeCanonical(message)

/** @throws MalformedError */
export const decodeFromCaller = (frame: Uint8Array): FromCaller =>
  decodeCanonical(FromCaller, frame, RPC_FRAME_BYTES_MAX)

/** @throws MalformedError */
export const decodeReply = (frame: Uint8Array): Reply => decodeCanonical(Reply, frame, RPC_FRAME_BYTES_MAX)

/** An error from another node; a code that this release does not know keeps its message. */
export function errorFromWire(error: { code: string; message: string; details?: unknown }): DomainError {
  const details = Details.safeParse(error.details)
  const code: DomainErrorCode = isCode(error.code) ? error.code : 'internal'
  return domainError(code, {
    message: error.message,
    ...(details.success && error.details !== undefined && { details: details.data }),
  })
}

const isCode = (code: string): code is DomainErrorCode => Object.hasOwn(DOMAIN_ERRORS, code)

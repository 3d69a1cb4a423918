import { z } from 'zod'
import { MeshId, PeerId } from '../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import type { Crypto, Signer } from './crypto.ts'
import { Signature, signingBytes } from './crypto.ts'
import { LEASES_PER_OWNER_MAX, LeaseId } from './lease/messages.ts'

/** As many leases as one owner may hold, in hex, and the rest. */
export const HEARTBEAT_BYTES_MAX = 96 * 1024

/** Shortest time between two heartbeats of one node. */
const PERIOD_MIN_MS = 5000
/** About ten heartbeats per second arrive at a node, however large the mesh is. */
const PERIOD_PER_MEMBER_MS = 100

/** One per node; every member computes the same from the number of members. */
export const heartbeatPeriodMs = (members: number): number => Math.max(PERIOD_MIN_MS, members * PERIOD_PER_MEMBER_MS)

/** Fields of later versions are kept: the signature covers them. */
const Body = z.looseObject({
  v: z.literal(1),
  mesh: MeshId,
  peer: PeerId,
  /** Grows with every start of the node. */
  boot: z.int().min(1),
  /** Grows with every heartbeat of one start. */
  counter: z.int().min(1),
  /** Wall time in ms, for display only. */
  at: z.int().min(0),
  /** `bye`: the node stops; `sleep`: its host is being suspended. */
  kind: z.enum(['beat', 'bye', 'sleep']),
  /** Leases that the node renews; all of them, unless there are more than fit. */
  leases: z.array(LeaseId).max(LEASES_PER_OWNER_MAX),
  load: z.object({ sessions: z.int().min(0) }),
})
export const Heartbeat = Body.extend({ sig: Signature })
export type Heartbeat = z.infer<typeof Heartbeat>

export function signHeartbeat(crypto: Crypto, signer: Signer, body: z.infer<typeof Body>): Uint8Array {
  return encodeCanonical({ ...body, sig: signer.sign(signingBytes(crypto, 'rookery/presence/1', body)) })
}

/** @throws MalformedError for anything but a well-formed heartbeat; the signature is checked by `verifyHeartbeat` */
export function decodeHeartbeat(bytes: Uint8Array): Heartbeat {
  return decodeCanonical(Heartbeat, bytes, HEARTBEAT_BYTES_MAX)
}

export function verifyHeartbeat(crypto: Crypto, heartbeat: Heartbeat): boolean {
  const { sig, ...body } = heartbeat
  return crypto.verify(heartbeat.peer, signingBytes(crypto, 'rookery/presence/1', body), sig)
}

/** Later heartbeats of one node: a new start counts more than any number of beats. */
export const isNewer = (
  a: Pick<Heartbeat, 'boot' | 'counter'>,
  b: Pick<Heartbeat, 'boot' | 'counter'> | undefined,
): boolean => b === undefined || a.boot > b.boot || (a.boot === b.boot && a.counter > b.counter)

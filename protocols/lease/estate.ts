import { z } from 'zod'
import { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, equalBytes, MalformedError } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import { PAGE_BYTES_MAX } from './frame.ts'
import { HolderInfo, LeaseId, MAX_TTL_MS, Position, RESOURCES_PER_LEASE_MAX, Resource, Token } from './messages.ts'

/** A lease that a voter promised and that may still run. */
export const LiveGrant = z.strictObject({
  node: PeerId,
  lid: LeaseId,
  owner: z.string().max(256),
  info: HolderInfo,
  res: z.array(Resource).min(1).max(RESOURCES_PER_LEASE_MAX),
  token: Token,
  seq: z.int().min(0),
  ttlMax: z.int().min(1).max(MAX_TTL_MS),
  after: z.array(Position).max(64),
})
export type LiveGrant = z.infer<typeof LiveGrant>

export const ScopedPosition = z.strictObject({ scope: z.string().max(1300), at: Position })
export type ScopedPosition = z.infer<typeof ScopedPosition>

/** What a voter leaves to its successors when it seals an epoch: its promises, and last writes to wait for. */
export const Estate = z.strictObject({ grants: z.array(LiveGrant), after: z.array(ScopedPosition) })
export type Estate = z.infer<typeof Estate>

export type PackedEstate = { readonly hash: Uint8Array; readonly pages: readonly Uint8Array[] }

/** 2,048 leases of each of 63 members fit; what is larger is not honest. */
const ESTATE_BYTES_MAX = 256 * 1024 * 1024

export function packEstate(sha256: Crypto['sha256'], estate: Estate): PackedEstate {
  const bytes = encodeCanonical(estate)
  const pages: Uint8Array[] = []
  for (let at = 0; at < bytes.byteLength; at += PAGE_BYTES_MAX) pages.push(bytes.slice(at, at + PAGE_BYTES_MAX))
  return { hash: sha256(bytes), pages }
}

/** @throws MalformedError when the pages are not what the hash says. */
export function unpackEstate(sha256: Crypto['sha256'], { hash, pages }: PackedEstate): Estate {
  const bytes = new Uint8Array(pages.reduce((sum, page) => sum + page.byteLength, 0))
  let at = 0
  for (const page of pages) {
    bytes.set(page, at)
    at += page.byteLength
  }
  if (!equalBytes(sha256(bytes), hash)) throw new MalformedError('an estate that is not what was sealed')
  return decodeCanonical(Estate, bytes, ESTATE_BYTES_MAX)
}

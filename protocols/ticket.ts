import { z } from 'zod'
import type { Capability } from '../crdt/capability.ts'
import { domainError, type DomainError } from '../crdt/errors.ts'
import { MeshId, PeerId } from '../crdt/ids.ts'
import { err, ok, type Result } from '../crdt/result.ts'
import { decodeCanonical, encodeCanonical, equalBytes, fromHex, MalformedError, toHex } from './codec.ts'
import { type Crypto, Hash } from './crypto.ts'
import { CapabilityNames, knownCapabilities, sortedCapabilities } from './membership/records.ts'

const PREFIX = 'rook1'
/** Enough that a mistyped ticket passes once in four thousand million times. */
const CHECKSUM_BYTES = 4
/** A QR code must stay readable, and a laptop has few addresses worth trying. */
export const TICKET_ADDRESSES_MAX = 8
export const TICKET_BYTES_MAX = 2048
export const TICKET_ADDRESS_CHARS_MAX = 200

/** Everything a new node needs to be admitted once. Whoever holds it can use it: treat it like a password. */
export type Ticket = {
  readonly mesh: MeshId
  readonly inviter: PeerId
  /** Multiaddrs at which the inviter may be reached; hints only, its identity is the peer id. */
  readonly addresses: readonly string[]
  /** Ed25519 seed of the invite key. */
  readonly inviteSeed: Uint8Array
  /** Hash of the invite record. */
  readonly invite: Uint8Array
  readonly expiresAtMs: number
  /** What the invite grants, for display: the mesh goes by the invite record. */
  readonly capabilities: readonly Capability[]
}

/** Short keys, since all of it goes into a QR code. */
const Wire = z.strictObject({
  v: z.literal(1),
  m: Hash,
  p: PeerId,
  a: z.array(z.string().min(1).max(TICKET_ADDRESS_CHARS_MAX)).max(TICKET_ADDRESSES_MAX),
  s: Hash,
  i: Hash,
  e: z.int().min(0),
  c: CapabilityNames,
})

/** One line that survives terminals, chats and QR codes. Of more addresses than fit, the first are taken. */
export function formatTicket(crypto: Crypto, ticket: Ticket): string {
  const payload = encodeCanonical({
    v: 1,
    m: fromHex(ticket.mesh),
    p: ticket.inviter,
    a: ticket.addresses.filter(({ length }) => length <= TICKET_ADDRESS_CHARS_MAX).slice(0, TICKET_ADDRESSES_MAX),
    s: ticket.inviteSeed,
    i: ticket.invite,
    e: ticket.expiresAtMs,
    c: sortedCapabilities(ticket.capabilities),
  })
  const bytes = new Uint8Array(payload.byteLength + CHECKSUM_BYTES)
  bytes.set(payload)
  bytes.set(checksum(crypto, payload), payload.byteLength)
  return PREFIX + toBase64Url(bytes)
}

/**
 * Reads a ticket as a person pasted it: white space around and within (wrapped lines) is ignored. Never throws.
 * @errors ticket_invalid, ticket_expired
 */
export function parseTicket(crypto: Crypto, text: string, nowMs: number): Result<Ticket> {
  const line = text.replaceAll(/\s/g, '')
  if (!line.startsWith(PREFIX)) return invalid('A ticket begins with `rook1`.')
  const bytes = fromBase64Url(line.slice(PREFIX.length))
  const payload = bytes?.subarray(0, -CHECKSUM_BYTES)
  if (!bytes || !payload || !equalBytes(bytes.subarray(-CHECKSUM_BYTES), checksum(crypto, payload)))
    return invalid('This ticket is incomplete or mistyped. Copy the whole line.')
  const ticket = decodeTicket(payload)
  if (!ticket) return invalid('This ticket was made by a release of Rookery that this one does not understand.')
  return ticket.expiresAtMs < nowMs ? err(domainError('ticket_expired')) : ok(ticket)
}

function decodeTicket(payload: Uint8Array): Ticket | undefined {
  try {
    const wire = decodeCanonical(Wire, payload, TICKET_BYTES_MAX)
    return {
      mesh: MeshId.parse(toHex(wire.m)),
      inviter: wire.p,
      addresses: wire.a,
      inviteSeed: wire.s,
      invite: wire.i,
      expiresAtMs: wire.e,
      capabilities: knownCapabilities(wire.c),
    }
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

const invalid = (message: string): { readonly ok: false; readonly error: DomainError } =>
  err(domainError('ticket_invalid', { message }))

const checksum = (crypto: Crypto, payload: Uint8Array): Uint8Array => crypto.sha256(payload).subarray(0, CHECKSUM_BYTES)

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

function toBase64Url(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    for (bits += 8; bits >= 6; bits -= 6) text += ALPHABET.charAt((held >>> (bits - 6)) & 63)
    held &= 0xff
  }
  return bits > 0 ? text + ALPHABET.charAt((held << (6 - bits)) & 63) : text
}

/** Undefined for anything but the one encoding of some bytes. */
function fromBase64Url(text: string): Uint8Array | undefined {
  if (text.length > TICKET_BYTES_MAX * 2) return undefined
  const bytes = new Uint8Array(Math.floor((text.length * 6) / 8))
  let bits = 0
  let held = 0
  let length = 0
  for (const char of text) {
    const value = ALPHABET.indexOf(char)
    if (value < 0) return undefined
    held = ((held & 0x3ff) << 6) | value
    bits += 6
    if (bits < 8) continue
    bits -= 8
    bytes[length++] = (held >>> bits) & 0xff
  }
  return toBase64Url(bytes) === text ? bytes : undefined
}

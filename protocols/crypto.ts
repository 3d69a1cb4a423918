import { z } from 'zod'
import type { PeerId } from '../crdt/ids.ts'
import { encodeCanonical } from './codec.ts'

/** Primitives passed in from outside, so that the same decisions run on real keys and in the simulator. */
export interface Crypto {
  sha256(data: Uint8Array): Uint8Array
  /** Ed25519 by the key that the peer id is made of. False, never an exception, for anything malformed. */
  verify(signer: PeerId, message: Uint8Array, signature: Uint8Array): boolean
  /** The same for many at once, in other threads, where there are any. */
  verifyAll?(checks: readonly SignatureCheck[]): Promise<readonly boolean[]>
  /** Ed25519 by a raw 32-byte public key (invite keys). False, never an exception, for anything malformed. */
  verifyRaw(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean
}

/** What `verify` is asked. */
export type SignatureCheck = {
  readonly signer: PeerId
  readonly message: Uint8Array
  readonly signature: Uint8Array
}

export interface Signer {
  readonly peer: PeerId
  sign(message: Uint8Array): Uint8Array
}

/** What is signed, or compared by hash, is of one kind; one can never pass as another. */
export type SignatureTag =
  | 'rookery/log/1'
  | 'rookery/env/1'
  | 'rookery/presence/1'
  | 'rookery/join/1'
  | 'rookery/invite/1'
  | 'rookery/recovery/1'
  | 'rookery/pairing/1'
  | 'rookery/pairing-commitment/1'
  | `rookery/lease/1/${string}`

/** The bytes that are signed: H(tag) followed by H(canonical body). */
export function signingBytes(crypto: Crypto, tag: SignatureTag, body: unknown): Uint8Array {
  const bytes = new Uint8Array(64)
  bytes.set(crypto.sha256(new TextEncoder().encode(tag)), 0)
  bytes.set(crypto.sha256(encodeCanonical(body)), 32)
  return bytes
}

const bytesOf = (length: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.byteLength === length, `must be ${length} bytes`)

/** Of any length; whoever uses it bounds what it is in. */
export const Bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array, 'must be bytes')
export const Signature = bytesOf(64)
export const Hash = bytesOf(32)

import nacl from 'tweetnacl'
import { z } from 'zod'
import { AccountRecord, recordName } from '../../../crdt/account-records.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import type { Random } from '../../ports/random.ts'
import type { HeldKey, KeyRing } from './account-keys.ts'

/** The largest record is a token with 64 abilities of 64 characters. */
const RECORD_BYTES_MAX = 8192

const Sealed = z.strictObject({
  /** Id of the accounts key. */
  key: z.string().max(128),
  nonce: z.instanceof(Uint8Array).refine((nonce) => nonce.byteLength === nacl.secretbox.nonceLength),
  box: z.instanceof(Uint8Array),
})

export type Opened =
  | { readonly state: 'record'; readonly record: AccountRecord; readonly keyId: string }
  /** Its key has not reached us (yet). */
  | { readonly state: 'locked' }
  /** Not written by anybody who held the key it names, or not a record of this name. */
  | { readonly state: 'invalid' }

export function sealRecord(record: AccountRecord, { id, key }: HeldKey, random: Random): Uint8Array {
  const nonce = random.bytes(nacl.secretbox.nonceLength)
  const box = nacl.secretbox(encodeCanonical(record), nonce, key)
  // Yjs takes a plain Uint8Array only, and the encoder may answer with a Buffer.
  return new Uint8Array(encodeCanonical({ key: id, nonce, box }))
}

/** Opens what stands under `name`. The name is inside as well: a ciphertext moved to another name is invalid. */
export function openRecord(name: string, value: unknown, ring: KeyRing): Opened {
  const sealed = value instanceof Uint8Array ? decodeOr(Sealed, value) : undefined
  if (!sealed) return { state: 'invalid' }
  const held = ring.get(sealed.key)
  if (!held) return { state: 'locked' }
  const plain = nacl.secretbox.open(sealed.box, sealed.nonce, held.key)
  const record = plain ? decodeOr(AccountRecord, plain) : undefined
  if (!record || recordName(record) !== name) return { state: 'invalid' }
  return { state: 'record', record, keyId: sealed.key }
}

function decodeOr<T extends z.ZodType>(schema: T, bytes: Uint8Array): z.infer<T> | undefined {
  try {
    return decodeCanonical(schema, bytes, RECORD_BYTES_MAX)
  } catch (error) {
    if (error instanceof MalformedError) return undefined // written by a faulty or hostile member
    throw error
  }
}

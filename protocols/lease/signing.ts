import { encodeCanonical } from '../codec.ts'
import { signingBytes, type Crypto, type Signer } from '../crypto.ts'
import type { PeerId } from '../../crdt/ids.ts'
import type { LeaseRequest } from './messages.ts'

export type LeaseKind = 'config' | 'request' | 'grant' | 'deny' | 'release'

export type Unsigned<T> = Omit<T, 'sig'>

/** What it takes to sign as this node and to check what others signed. */
export type Keys = { readonly crypto: Crypto; readonly signer: Signer }

export function signAs<B extends object>(keys: Keys, kind: LeaseKind, body: B): B & { sig: Uint8Array } {
  return { ...body, sig: keys.signer.sign(signingBytes(keys.crypto, `rookery/lease/1/${kind}`, body)) }
}

/** Whether `signed` carries the signature of `by` over everything else in it, as that kind of message. */
export function isSignedBy(crypto: Crypto, by: PeerId, kind: LeaseKind, signed: { readonly sig: Uint8Array }): boolean {
  const { sig, ...body } = signed
  return crypto.verify(by, signingBytes(crypto, `rookery/lease/1/${kind}`, body), sig)
}

/** Names one exact signed request; grants are bound to it. */
export const requestHash = (crypto: Crypto, request: LeaseRequest): Uint8Array =>
  crypto.sha256(encodeCanonical(request))

import type { MeshId, PeerId } from '../crdt/ids.ts'
import { type Crypto, signingBytes } from './crypto.ts'

/*
 * Pairing by code. The machine says its keys and commits to a nonce; the gateway answers with its own keys and nonce; the
 * machine opens its nonce. Both ends then show words made of all of that, and a person compares them. Whoever sits in
 * between and swaps a key has to fix its nonces before it knows the others, so it gets the same words by luck only.
 */

/** Without 0, 1, I and O: read out and typed by people. */
export const PAIRING_CODE = /^[A-HJ-NP-Z2-9]{3}-[A-HJ-NP-Z2-9]{3}$/
const CODE_ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789'
/** Random bytes that a code takes. */
export const PAIRING_CODE_BYTES = 6
export const PAIRING_MS = 5 * 60_000
export const PAIRING_NONCE_BYTES = 32

export function pairingCode(bytes: Uint8Array): string {
  // 256 is a multiple of the alphabet's 32, so every code is as likely as any other.
  const chars = Array.from(bytes.subarray(0, PAIRING_CODE_BYTES), (byte) => CODE_ALPHABET.charAt(byte & 31)).join('')
  return `${chars.slice(0, 3)}-${chars.slice(3)}`
}

/** A code as a person may have typed it: any case, with or without its dash. Undefined for what cannot be one. */
export function typedPairingCode(text: string): string | undefined {
  const chars = text.toUpperCase().replaceAll(/[^0-9A-Z]/g, '')
  const code = `${chars.slice(0, 3)}-${chars.slice(3)}`
  return PAIRING_CODE.test(code) ? code : undefined
}

/** The machine that is to become a member. */
export type PairingMachine = { readonly peer: PeerId; readonly boxKey: Uint8Array }

export type PairingGateway = {
  readonly mesh: MeshId
  readonly peer: PeerId
  readonly boxKey: Uint8Array
  readonly nonce: Uint8Array
  /** SHA-256 of its TLS certificate as it is printed (`AB:CD:…`); null where it has none of its own. */
  readonly tlsFingerprint: string | null
}

/** What the machine says first, so that it cannot choose its nonce after it has seen the gateway's. */
export const pairingCommitment = (crypto: Crypto, { peer, boxKey }: PairingMachine, nonce: Uint8Array): Uint8Array =>
  crypto.sha256(signingBytes(crypto, 'rookery/pairing-commitment/1', { peer, boxKey, nonce }))

/** What the words are made of: the same at both ends exactly when both know the same code, keys, nonces and certificate. */
export function pairingDigest(
  crypto: Crypto,
  {
    code,
    machine,
    nonce,
    gateway,
  }: { code: string; machine: PairingMachine; nonce: Uint8Array; gateway: PairingGateway },
): Uint8Array {
  const body = { code, machine: { peer: machine.peer, boxKey: machine.boxKey }, nonce, gateway: { ...gateway } }
  return crypto.sha256(signingBytes(crypto, 'rookery/pairing/1', body))
}

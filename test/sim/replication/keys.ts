import { hash } from 'node:crypto'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import { createSimCrypto } from '../ports/sim-crypto.ts'

export type SimKeys = ReturnType<typeof createSimCrypto> & {
  /** The key pair of a seed, for invites. */
  readonly keyFromSeed: (seed: Uint8Array) => { readonly publicKey: Uint8Array } & Pick<Signer, 'sign'>
}

/** Simulated signatures of nodes, and of keys that are no node's. */
export function createSimKeys(): SimKeys {
  const crypto = createSimCrypto()
  // Who knows a public key cannot guess the seed: nothing in a simulation tries.
  const seeds = new Map<string, Uint8Array>()
  const sign = (seed: Uint8Array, message: Uint8Array): Uint8Array => sha512(Buffer.concat([seed, message]))
  const verifyRaw: Crypto['verifyRaw'] = (publicKey, message, signature) => {
    const seed = seeds.get(Buffer.from(publicKey).toString('hex'))
    return seed !== undefined && equalBytes(sign(seed, message), signature)
  }
  return {
    ...crypto,
    verifyRaw,
    keyFromSeed(seed) {
      const publicKey = crypto.sha256(Buffer.concat([Buffer.from('public key of '), seed]))
      seeds.set(Buffer.from(publicKey).toString('hex'), seed)
      return { publicKey, sign: (message) => sign(seed, message) }
    },
  }
}

const sha512 = (data: Uint8Array): Uint8Array => new Uint8Array(hash('sha512', data, 'buffer'))

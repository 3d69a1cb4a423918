import { hash } from 'node:crypto'
import { createNodeCrypto, createSigner } from '../../../node/adapters/node-crypto.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'

const SIGNATURE_BYTES = 64

/** Real peer ids, made once: only their spelling matters here. */
const peers: PeerId[] = []
export function simPeer(n: number): PeerId {
  const seed = new TextEncoder().encode(`simulated identity ${n}`)
  return (peers[n] ??= createSigner(createNodeCrypto().sha256(seed)).peer)
}

/**
 * Signatures as a model: one is valid exactly when it was made by that signer over that message. It hides the digest of
 * the message behind secret bytes of the signer, which nothing in a simulation knows. Costs a hundredth of Ed25519.
 */
export function createSimCrypto(): Crypto & { signer(peer: PeerId): Signer } {
  const secrets = new Map<PeerId, Uint8Array>()
  const secretOf = (peer: PeerId): Uint8Array => {
    let secret = secrets.get(peer)
    if (!secret) secrets.set(peer, (secret = sha512(new TextEncoder().encode(`secret of ${peer}`))))
    return secret
  }
  return {
    sha256: (data) => new Uint8Array(hash('sha256', data, 'buffer')),
    verify(peer, message, signature) {
      if (signature.byteLength !== SIGNATURE_BYTES) return false
      const expected = mask(message, secretOf(peer))
      return expected.every((byte, i) => byte === signature[i])
    },
    verifyRaw: () => false,
    signer: (peer) => ({ peer, sign: (message) => mask(message, secretOf(peer)) }),
  }
}

const sha512 = (data: Uint8Array): Uint8Array => new Uint8Array(hash('sha512', data, 'buffer'))

/** Messages to sign are two hashes already; anything else is made as long. */
function mask(message: Uint8Array, secret: Uint8Array): Uint8Array {
  const digest = message.byteLength === SIGNATURE_BYTES ? message : sha512(message)
  const masked = new Uint8Array(SIGNATURE_BYTES)
  for (let i = 0; i < SIGNATURE_BYTES; i++) masked[i] = (digest[i] ?? 0) ^ (secret[i] ?? 0)
  return masked
}

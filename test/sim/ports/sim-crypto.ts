import { hash } from 'node:crypto'
import { createNodeCrypto, createSigner } from '../../../node/adapters/node-crypto.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import type { Crypto, Signer } from '../../../protocols/crypto.ts'

const SIGNATURE_BYTES = 64
/** Beyond it the real hash is quicker. */
const MIXED_BYTES_MAX = 128

/** Real peer ids, made once: only their spelling matters here. */
const peers: PeerId[] = []
export function simPeer(n: number): PeerId {
  const seed = new TextEncoder().encode(`simulated identity ${n}`)
  return (peers[n] ??= createSigner(createNodeCrypto().sha256(seed)).peer)
}

/**
 * Hashes and signatures as models: no two things have one hash, and a signature is valid exactly when it was made by that
 * signer over that message. It hides the digest of the message behind secret bytes of the signer, which nothing in a
 * simulation knows. Both cost a hundredth of the real ones.
 */
export function createSimCrypto(): Crypto & { signer(peer: PeerId): Signer } {
  const secrets = new Map<PeerId, Uint8Array>()
  const secretOf = (peer: PeerId): Uint8Array => {
    let secret = secrets.get(peer)
    if (!secret) secrets.set(peer, (secret = twice(mix(new TextEncoder().encode(`secret of ${peer}`)))))
    return secret
  }
  return {
    sha256: (data) => (data.byteLength <= MIXED_BYTES_MAX ? mix(data) : new Uint8Array(hash('sha256', data, 'buffer'))),
    verify(peer, message, signature) {
      if (signature.byteLength !== SIGNATURE_BYTES) return false
      return equalBytes(masked(message, secretOf(peer)), signature)
    },
    verifyRaw: () => false,
    signer: (peer) => ({ peer, sign: (message) => masked(message, secretOf(peer)) }),
  }
}

/** Messages to sign are two hashes already; anything else is made as long. */
function masked(message: Uint8Array, secret: Uint8Array): Uint8Array {
  const digest = message.byteLength === SIGNATURE_BYTES ? message : twice(mix(message))
  const signature = new Uint8Array(SIGNATURE_BYTES)
  for (let i = 0; i < SIGNATURE_BYTES; i++) signature[i] = (digest[i] ?? 0) ^ (secret[i] ?? 0)
  return signature
}

function twice(digest: Uint8Array): Uint8Array {
  const both = new Uint8Array(SIGNATURE_BYTES)
  both.set(digest)
  both.set(mix(digest), SIGNATURE_BYTES / 2)
  return both
}

/** 256 bits in which every bit of the data has had a say: four pairs of lanes, stirred as MurmurHash does. */
function mix(data: Uint8Array): Uint8Array {
  const lanes = new Uint32Array(8)
  const { byteLength } = data
  for (let lane = 0; lane < 8; lane += 2) {
    let a = (0x9e3779b9 * (lane + 1)) ^ byteLength
    let b = 0x85ebca6b * (lane + 2)
    for (let i = 0; i < byteLength; i++) {
      a = Math.imul(a ^ (data[i] ?? 0), 0x01000193 + 2 * lane)
      b = Math.imul((b << 5) | (b >>> 27), 0xcc9e2d51) + a
    }
    lanes[lane] = stirred(a ^ (b >>> 7))
    lanes[lane + 1] = stirred(b ^ (a << 9))
  }
  return new Uint8Array(lanes.buffer)
}

function stirred(word: number): number {
  const first = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  const second = Math.imul(first ^ (first >>> 13), 0xc2b2ae35)
  return second ^ (second >>> 16)
}

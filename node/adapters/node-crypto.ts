import { createPrivateKey, createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto'
import { base58btc } from 'multiformats/bases/base58'
import type { PeerId } from '../../crdt/ids.ts'
import type { Crypto, Signer } from '../../protocols/crypto.ts'

/** Identity multihash (0x00, 36 bytes) of a protobuf Ed25519 public key (type 1, 32 bytes): libp2p peer id spec. */
const PEER_ID_PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20)
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Making a KeyObject costs more than using it; a mesh has far fewer keys than this. */
const KEY_CACHE_MAX = 4096

/** Ed25519 and SHA-256 by node:crypto, which also refuses malleable signatures. */
export function createNodeCrypto(): Crypto {
  const keys = new Map<string, KeyObject | undefined>()
  const keyOf = (peer: PeerId): KeyObject | undefined => {
    if (!keys.has(peer)) {
      if (keys.size >= KEY_CACHE_MAX) keys.clear()
      const raw = publicKeyOf(peer)
      keys.set(peer, raw && keyObject(raw))
    }
    return keys.get(peer)
  }
  return {
    sha256: (data) => new Uint8Array(hash('sha256', data, 'buffer')),
    verify(peer, message, signature) {
      const key = keyOf(peer)
      return key !== undefined && signature.byteLength === 64 && verify(null, message, key, signature)
    },
    verifyAll: (checks) =>
      Promise.all(
        checks.map(async ({ signer, message, signature }) => {
          const key = keyOf(signer)
          return key !== undefined && signature.byteLength === 64 && (await verifyElsewhere(message, key, signature))
        }),
      ),
    verifyRaw(publicKey, message, signature) {
      if (publicKey.byteLength !== 32 || signature.byteLength !== 64) return false
      const key = keyObject(publicKey)
      return key !== undefined && verify(null, message, key, signature)
    },
  }
}

const verifyElsewhere = (message: Uint8Array, key: KeyObject, signature: Uint8Array): Promise<boolean> =>
  new Promise((resolve) => verify(null, message, key, signature, (error, isValid) => resolve(!error && isValid)))

/** Signs with the Ed25519 key of a 32-byte seed; the peer id follows from it. */
export function createSigner(seed: Uint8Array): Signer & { readonly publicKey: Uint8Array } {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const publicKey = new Uint8Array(spki.subarray(SPKI_PREFIX.byteLength))
  return { peer: peerIdOf(publicKey), publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) }
}

function peerIdOf(publicKey: Uint8Array): PeerId {
  const bytes = new Uint8Array(PEER_ID_PREFIX.byteLength + 32)
  bytes.set(PEER_ID_PREFIX)
  bytes.set(publicKey, PEER_ID_PREFIX.byteLength)
  return base58btc.baseEncode(bytes) as PeerId
}

function publicKeyOf(peer: PeerId): Uint8Array | undefined {
  try {
    const bytes = base58btc.baseDecode(peer)
    const isEd25519 = bytes.byteLength === 38 && PEER_ID_PREFIX.every((byte, i) => bytes[i] === byte)
    return isEd25519 ? bytes.subarray(6) : undefined
  } catch {
    return undefined // not base58: no key, so no signature of it verifies
  }
}

function keyObject(raw: Uint8Array): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' })
  } catch {
    return undefined // not a point of the curve
  }
}

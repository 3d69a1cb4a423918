import nacl from 'tweetnacl'
import { createNodeCrypto, createSigner } from '../adapters/node-crypto.ts'
import type { DataDirectory } from '../adapters/data-directory.ts'
import type { Crypto, Signer } from '../../protocols/crypto.ts'

/** Who this node is: its signing key (the peer id) and the key that opens what is sealed to it. */
export type Identity = {
  readonly crypto: Crypto
  readonly signer: Signer
  readonly seed: Uint8Array
  readonly box: { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array }
}

export function identityOf(data: DataDirectory): Identity {
  const { publicKey, secretKey } = nacl.box.keyPair.fromSecretKey(data.boxSecret)
  return {
    crypto: createNodeCrypto(),
    signer: createSigner(data.nodeSeed),
    seed: data.nodeSeed,
    box: { publicKey, secretKey },
  }
}

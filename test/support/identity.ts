import { createNodeCrypto, createSigner } from '../../node/adapters/node-crypto.ts'
import type { Random } from '../../node/ports/random.ts'

export const crypto = createNodeCrypto()

const signers = new Map<number, ReturnType<typeof createSigner>>()

/** The same real key for the same number, so that failures can be replayed. */
export function identity(n: number): ReturnType<typeof createSigner> {
  const signer = signers.get(n) ?? createSigner(crypto.sha256(new TextEncoder().encode(`test identity ${n}`)))
  signers.set(n, signer)
  return signer
}

/** A seeded source (mulberry32) for tests. */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
  return { bytes: (count) => Uint8Array.from({ length: count }, () => next() & 255) }
}

import { wordlist } from '@scure/bip39/wordlists/english.js'

const WORDS = 5
/** 2048 words. */
const BITS_PER_WORD = 11n

/** Five words of the BIP39 list (55 bits) for two people, or one at two screens, to compare. */
export function pairingWords(digest: Uint8Array): string {
  let bits = digest.subarray(0, 8).reduce((all, byte) => (all << 8n) | BigInt(byte), 0n)
  return Array.from({ length: WORDS }, () => {
    const word = wordlist[Number(bits & ((1n << BITS_PER_WORD) - 1n))]
    bits >>= BITS_PER_WORD
    return word
  }).join(' ')
}

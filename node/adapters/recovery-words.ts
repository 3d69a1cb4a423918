import { createHash } from 'node:crypto'
import { entropyToMnemonic, mnemonicToEntropy } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { err, ok, type Result } from '../../crdt/result.ts'
import type { Signer } from '../../protocols/crypto.ts'
import type { Random } from '../ports/random.ts'
import { createSigner } from './node-crypto.ts'

/** 256 bits and a checksum: as hard to guess as any other key of the mesh. */
export const RECOVERY_WORDS = 24
const ENTROPY_BYTES = 32

/** So that words that also open something else (a wallet, say) make another key here. */
const KEY_DOMAIN = 'rookery/recovery-key/1'

/** A word that is no word may be anything, a pasted file too: this much of it is shown. */
const SHOWN_CHARS_MAX = 24

export type RecoverySigner = Pick<Signer, 'sign'> & { readonly publicKey: Uint8Array }

/** Fresh words (BIP39, English). They are the secret itself: whoever gets them prints them, and keeps nothing. */
export function createRecoveryWords(random: Random): readonly string[] {
  return entropyToMnemonic(random.bytes(ENTROPY_BYTES), wordlist).split(' ')
}

/**
 * The key that words stand for. Takes them as people write them down: any white space, capitals, numbered.
 * The error is a sentence that says which word to look at.
 */
export function recoverySigner(text: string): Result<RecoverySigner, string> {
  const words = wordsIn(text)
  if (words.length !== RECOVERY_WORDS)
    return err(`These are ${words.length} words; a recovery key has ${RECOVERY_WORDS}.`)
  const wrong = words.findIndex((word) => !wordlist.includes(word))
  if (wrong !== -1)
    return err(`Word ${wrong + 1} (${shown(words[wrong] ?? '')}) is not one of the 2048 words of the list.`)
  const entropy = entropyOf(words)
  if (!entropy)
    return err('Every word is one of the list, but they do not belong together: one is wrong, or two changed places.')
  const domain = createHash('sha256').update(KEY_DOMAIN).digest()
  return ok(createSigner(createHash('sha256').update(domain).update(entropy).digest()))
}

/** How many words have been typed so far. */
export const countWords = (text: string): number => wordsIn(text).length

const wordsIn = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/\s+/)
    .map((word) => word.replace(/^[0-9]{1,2}[.):]?/, ''))
    .filter((word) => word !== '')

/** Undefined when the checksum is wrong, the only thing left to be after every word was found in the list. */
function entropyOf(words: readonly string[]): Uint8Array | undefined {
  try {
    return mnemonicToEntropy(words.join(' '), wordlist)
  } catch {
    return undefined
  }
}

const shown = (word: string): string => JSON.stringify(word.slice(0, SHOWN_CHARS_MAX).replaceAll(/\P{L}/gu, '?'))

import { describe, expect, it } from 'vitest'
import { createRecoveryWords, recoverySigner } from '../../../node/adapters/recovery-words.ts'
import { systemRandom } from '../../../node/adapters/system-random.ts'
import { createSeededRandom, crypto } from '../../support/identity.ts'

const keyOf = (text: string): string => {
  const signer = recoverySigner(text)
  return signer.ok ? Buffer.from(signer.value.publicKey).toString('hex') : signer.error
}
const words = createRecoveryWords(createSeededRandom(1))
const VALID = `${'abandon '.repeat(23)}art`

describe('recovery words', () => {
  it('[M21] stand for one key, which signs', () => {
    const signer = recoverySigner(words.join(' '))
    if (!signer.ok) throw new Error(signer.error)
    expect(words).toHaveLength(24)
    expect(keyOf(words.join(' '))).toBe(Buffer.from(signer.value.publicKey).toString('hex'))
    const message = Uint8Array.of(1, 2, 3)
    expect(crypto.verifyRaw(signer.value.publicKey, message, signer.value.sign(message))).toBe(true)
  })

  it('[M21] keep standing for the same key in every release', () => {
    expect(keyOf(VALID)).toBe('9581b43f6532817ee8674c5e6c6f7a23f458f3f36620b5dfa40d421c3ede6a19')
  })

  it('[M21] are other words each time', () => {
    expect(createRecoveryWords(systemRandom)).not.toEqual(createRecoveryWords(systemRandom))
  })

  it.each([
    ['capitals', VALID.toUpperCase()],
    ['lines and tabs', `\n${VALID.replaceAll(' ', '\n\t')}\r\n`],
    [
      'numbers',
      VALID.split(' ')
        .map((word, i) => `${i + 1}. ${word}`)
        .join('\n'),
    ],
    [
      'numbers without a space',
      VALID.split(' ')
        .map((word, i) => `${i + 1}.${word}`)
        .join(' '),
    ],
  ])('[M21] are taken as people write them down: with %s', (_, text) => {
    expect(keyOf(text)).toBe(keyOf(VALID))
  })

  it.each([
    ['nothing', '', 'These are 0 words; a recovery key has 24.'],
    ['a word too few', 'abandon '.repeat(23), 'These are 23 words; a recovery key has 24.'],
    ['a word too many', `${VALID} art`, 'These are 25 words; a recovery key has 24.'],
    [
      'a word that is none',
      `${'abandon '.repeat(6)}abandn ${'abandon '.repeat(16)}art`,
      'Word 7 ("abandn") is not one of the 2048 words of the list.',
    ],
    [
      'what is not for a terminal',
      `${'abandon '.repeat(23)}\u001b[2J${'x'.repeat(99)}`,
      'Word 24 ("???jxxxxxxxxxxxxxxxxxxxx") is not one of the 2048 words of the list.',
    ],
    [
      'a wrong checksum',
      'abandon '.repeat(24),
      'Every word is one of the list, but they do not belong together: one is wrong, or two changed places.',
    ],
    [
      'two words in each other’s place',
      [words[1], words[0], ...words.slice(2)].join(' '),
      'Every word is one of the list, but they do not belong together: one is wrong, or two changed places.',
    ],
  ])('[M21] say what is wrong with %s', (_, text, problem) => {
    expect(keyOf(text)).toBe(problem)
  })
})

import { createSeededRandom } from '../support/identity.ts'
import { randomFraction } from '../../node/ports/random.ts'

const VOCABULARY = 20_000
const WORDS = 120

/** As in a language, few words make up most of a text: the share of a word falls with its rank. */
function wordSource(seed: number): () => string {
  const random = createSeededRandom(seed)
  return () => {
    let rank = Math.floor(VOCABULARY ** randomFraction(random))
    let word = ''
    for (; rank > 0; rank = Math.floor(rank / 14)) word += 'bcdfghklmnprst'.charAt(rank % 14) + 'aeiou'.charAt(rank % 5)
    return word
  }
}

/** Texts of some 700 characters; the same for the same seed. */
export function* sampleTexts(count: number, seed = 1): Generator<string> {
  const word = wordSource(seed)
  for (let i = 0; i < count; i++) yield Array.from({ length: WORDS }, word).join(' ')
}

/** Questions of six words. */
export function sampleQuestions(count: number): string[] {
  const word = wordSource(2)
  return Array.from({ length: count }, () => Array.from({ length: 6 }, word).join(' '))
}

/** Random directions, which is the hardest case: nothing is near to anything. */
export function sampleVector(dimensions: number, seed: number): Float32Array {
  const random = createSeededRandom(seed)
  return Float32Array.from({ length: dimensions }, () => randomFraction(random) - 0.5)
}

/** Words of a query that are looked for; what else it has is left out. */
const WORDS_MAX = 24
const WORD_CHARS_MAX = 64

const WORD = /[\p{L}\p{N}\p{M}]+/gu
const INNER_CAPITAL = /([\p{Ll}\p{N}])(\p{Lu})/gu

/** Words that say nothing about the subject. A query of nothing else is looked for as it is. */
const FUNCTION_WORDS = new Set(
  (
    'a an and any are as at be been being but by can could did do does for from had has have how i if in into is it its ' +
    'may me my no not of on or our should so such than that the their them then there these they this those to us was ' +
    'we were what when where which who why will with would you your'
  ).split(' '),
)

/** The words of a query, each once, without those that every text has. */
export function queryWords(text: string): string[] {
  const words = new Set<string>()
  for (const [word] of withParts(text).matchAll(WORD)) {
    words.add(word.toLowerCase().slice(0, WORD_CHARS_MAX))
    if (words.size >= 4 * WORDS_MAX) break
  }
  const telling = [...words].filter((word) => !FUNCTION_WORDS.has(word))
  return (telling.length > 0 ? telling : [...words]).slice(0, WORDS_MAX)
}

/** The text, followed by the parts of names in it that are written `likeThis`. */
export function withParts(text: string): string {
  const parts: string[] = []
  for (const [word] of text.matchAll(WORD)) {
    if (word.length > WORD_CHARS_MAX) continue
    const split = word.replace(INNER_CAPITAL, '$1 $2')
    if (split !== word) parts.push(split)
  }
  return parts.length === 0 ? text : `${text}\n${parts.join('\n')}`
}

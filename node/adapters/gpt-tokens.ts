import type { TokenCounter } from '../ports/token-counter.ts'

/** Pieces with their leading space, as the encoding itself cuts texts; a longer piece would take quadratic time. */
const PIECES = /\s{0,64}[^\s]{1,64}|\s{1,64}/g

/**
 * Counts as the models of OpenAI do (o200k), which other models come near to. The table takes 80 MB of memory: it is
 * loaded when something is counted for the first time.
 */
export function createGptTokenCounter(): TokenCounter {
  let encoding: ReturnType<typeof loadEncoding> | undefined
  return {
    async count(text) {
      const { countTokens } = await (encoding ??= loadEncoding())
      let tokens = 0
      // Words that only mean something to a model are text like any other here.
      for (const [piece] of text.matchAll(PIECES)) tokens += countTokens(piece, NO_SPECIAL)
      return tokens
    },
  }
}

const loadEncoding = () => import('gpt-tokenizer/encoding/o200k_base')

const NO_SPECIAL = { disallowedSpecial: new Set<string>() }

import { COMMAND_WORDS_MAX } from './command.ts'

/** Variables by which a program is made to load or run something else than it would; no call may set them. */
const LOADER_VARIABLE =
  /^(?:LD_\w+|DYLD_\w+|GIT_\w+|NODE_(?:OPTIONS|PATH|EXTRA_CA_CERTS)|BASH_ENV|SHELLOPTS|BASHOPTS|PS4|PROMPT_COMMAND|IFS|PYTHON\w+|PERL5?\w*|RUBY(?:OPT|LIB)|GEM_\w+|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|JDK_JAVA_OPTIONS|PHP_INI_SCAN_DIR|PHPRC|PATH|SHELL|MAKEFLAGS|npm_config_\w+)\+?=/i

/** A word that sets such a variable where a program (`env`, `make`, `npm`) takes assignments. */
export const setsLoaderVariable = (word: string): boolean => LOADER_VARIABLE.test(word.replace(/^-+/, ''))

/** Why a line cannot be split: what only a shell could make sense of. */
export type LineProblem = { readonly problem: string }

/**
 * The words of a line as a shell would split them: blanks, quotes and backslashes, nothing else. What a shell would do more
 * with (pipes, variables, patterns, …) is a problem unless it is quoted: it is never passed on as if it were meant so.
 */
export function wordsOf(line: string): readonly string[] | LineProblem {
  const words: string[] = []
  let word: string | undefined
  let at = 0
  const take = (text: string): void => {
    word = (word ?? '') + text
  }
  while (at < line.length) {
    const char = line.charAt(at)
    if (char === ' ' || char === '\t') {
      if (word !== undefined) words.push(word)
      word = undefined
      at++
    } else if (char === "'" || char === '"') {
      const quoted = quotedFrom(line, at)
      if ('problem' in quoted) return quoted
      take(quoted.text)
      at = quoted.end
    } else if (char === '\\') {
      if (at + 1 >= line.length) return { problem: 'It ends with a backslash.' }
      take(line.charAt(at + 1))
      at += 2
    } else {
      if (isForShell(char) || ((char === '~' || char === '#') && word === undefined)) return forShell(char)
      take(char)
      at++
    }
  }
  if (word !== undefined) words.push(word)
  return checked(words)
}

function checked(words: readonly string[]): readonly string[] | LineProblem {
  const [program] = words
  if (program === undefined || program === '') return { problem: 'It names no program.' }
  if (/^[A-Za-z_]\w*=/.test(program))
    return { problem: `It must begin with a program: ${program} sets a variable, which only the type shell can.` }
  const loader = words.find(setsLoaderVariable)
  if (loader !== undefined) return { problem: `${loader} changes what other programs load: that is not allowed.` }
  if (words.length > COMMAND_WORDS_MAX) return { problem: `It has more than ${COMMAND_WORDS_MAX} words.` }
  return words
}

function quotedFrom(line: string, from: number): { text: string; end: number } | LineProblem {
  const quote = line.charAt(from)
  let text = ''
  for (let at = from + 1; at < line.length; at++) {
    const char = line.charAt(at)
    if (char === quote) return { text, end: at + 1 }
    if (quote === '"' && (char === '$' || char === '`')) return forShell(char)
    if (quote === '"' && char === '\\' && '"\\$`'.includes(line.charAt(at + 1)) && at + 1 < line.length) {
      at++
      text += line.charAt(at)
    } else text += char
  }
  return { problem: 'A quote is not closed.' }
}

const isForShell = (char: string): boolean => '|&;<>()$`*?[]{}!'.includes(char) || char < ' '

const forShell = (char: string): LineProblem => ({
  problem: `${JSON.stringify(char)} means something to a shell only: quote it, or register the command with the type shell.`,
})

/** Words as a person would type them; splitting it gives the words again. */
export const lineOf = (words: readonly string[]): string => words.map(quoted).join(' ')

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

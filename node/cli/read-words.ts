import { cancelled } from './ask-yes.ts'
import { CommandFailure, EXIT } from './exit.ts'

/** 24 words of at most eight letters, numbered, with room to spare; nobody types a longer passphrase. */
const SECRET_CHARS_MAX = 1024

/**
 * Takes secret words from what is piped in or, when a person sits there, from the keyboard without showing them. They
 * never come from arguments or environment: other processes can read those. At the keyboard, Enter ends the words once
 * `isComplete` says so, and Ctrl-D in any case.
 */
export async function readWords(prompt: string, isComplete: (text: string) => boolean): Promise<string> {
  if (!process.stdin.isTTY) return await readPiped()
  // Before anybody is asked: what is typed at once must not be shown either.
  process.stdin.setRawMode(true)
  process.stderr.write(prompt)
  try {
    return await readTyped(isComplete)
  } finally {
    process.stdin.setRawMode(false)
    process.stdin.pause()
    process.stderr.write('\n')
  }
}

/** Shorter ones are guessed, whatever a guess costs. */
const PASSPHRASE_CHARS_MIN = 8

/** A passphrase, in the same ways; a new one is asked for twice at the keyboard. */
export async function readPassphrase({ isNew }: { isNew: boolean }): Promise<string> {
  const passphrase = await readLine('Passphrase (not shown): ')
  if (!isNew) return passphrase
  if (passphrase.length < PASSPHRASE_CHARS_MIN)
    throw new CommandFailure(`A passphrase has at least ${PASSPHRASE_CHARS_MIN} characters.`, EXIT.usage)
  if (process.stdin.isTTY && (await readLine('The same again: ')) !== passphrase)
    throw new CommandFailure('The two are not the same; nothing was done.', EXIT.usage)
  return passphrase
}

/** One line, in the same ways. */
export const readLine = async (prompt: string): Promise<string> =>
  (await readWords(prompt, () => true)).replace(/\r?\n$/, '')

async function readPiped(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) {
    text += chunk
    if (text.length > SECRET_CHARS_MAX) throw tooLong()
  }
  return text
}

async function readTyped(isComplete: (text: string) => boolean): Promise<string> {
  let text = ''
  // Not destroyed at the end, as a plain loop would: more may be asked.
  for await (const chunk of process.stdin.setEncoding('utf8').iterator({ destroyOnReturn: false })) {
    for (const key of String(chunk)) {
      if (key === CTRL_C) throw cancelled()
      if (key === CTRL_D || (isEnter(key) && isComplete(text))) return text
      text = isErase(key) ? text.slice(0, -1) : text + (isEnter(key) ? ' ' : key)
      if (text.length > SECRET_CHARS_MAX) throw tooLong()
    }
  }
  return text
}

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const isEnter = (key: string): boolean => key === '\r' || key === '\n'
const isErase = (key: string): boolean => key === '\u007f' || key === '\b'

const tooLong = (): CommandFailure =>
  new CommandFailure(`That is longer than the ${SECRET_CHARS_MAX} characters it may have.`, EXIT.usage)

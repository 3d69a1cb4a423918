import { createInterface } from 'node:readline'
import { CommandFailure, EXIT } from './exit.ts'
import { printable } from './say.ts'

/** Whether somebody sits where `askYes` asks. */
export const isSomebodyHere = (): boolean => process.stdin.isTTY && process.stderr.isTTY

/**
 * Asks a person at the terminal until the answer is yes (true) or no (false). What is neither is asked again: a slip of
 * the finger neither agrees to anything nor undoes it.
 * @throws CommandFailure `cancelled` on Ctrl-C and Ctrl-D; the reason of `signal` once that is aborted
 */
export async function askYes(question: string, signal?: AbortSignal): Promise<boolean> {
  signal?.throwIfAborted()
  const terminal = createInterface({ input: process.stdin, output: process.stderr, ...(signal ? { signal } : {}) })
  terminal.setPrompt(`${printable(question)} Type yes or no: `)
  terminal.prompt()
  try {
    for await (const line of terminal) {
      const answer = line.trim().toLowerCase()
      if (answer === 'yes') return true
      if (answer === 'no' || answer === 'n') return false
      terminal.setPrompt('Type yes or no: ')
      terminal.prompt()
    }
  } finally {
    terminal.close()
  }
  process.stderr.write('\n') // the cursor is still behind the question
  signal?.throwIfAborted()
  throw cancelled()
}

/** What a command ends with that its user has given up. */
export const cancelled = (): CommandFailure =>
  new CommandFailure('Cancelled; nothing was changed.', EXIT.refused, { code: 'cancelled' })

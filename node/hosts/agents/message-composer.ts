import { z } from 'zod'

/** A line that is being typed; more is refused. */
const LINE_BYTES_MAX = 128 * 1024
/** Newline, and what the key Enter sends in a terminal. */
const LINE_ENDS = new Set([10, 13])

const Message = z.looseObject({ type: z.string() })

export type MessageComposer = {
  /** The messages that the bytes complete, one JSON line each; undefined when the line gets too long. */
  take(bytes: Uint8Array): Uint8Array[] | undefined
}

/**
 * What is typed to an agent (claude) that reads one JSON message a line: each line of text becomes a message, one that is
 * a message already stays as it is. The agent would end on anything else.
 */
export function createMessageComposer(): MessageComposer {
  let held = Buffer.alloc(0)
  return {
    take(bytes) {
      if (held.byteLength + bytes.byteLength > LINE_BYTES_MAX) return undefined
      const messages: Uint8Array[] = []
      const typed = Buffer.concat([held, bytes])
      let start = 0
      for (const [at, byte] of typed.entries()) {
        if (!LINE_ENDS.has(byte)) continue
        const line = typed.toString('utf8', start, at)
        start = at + 1
        if (line.trim() !== '') messages.push(isMessage(line) ? lineOf(line) : userMessage(line))
      }
      held = typed.subarray(start)
      return messages
    },
  }
}

/** A text of any number of lines as one message. Claude Code, `--input-format stream-json`. */
export const userMessage = (text: string): Uint8Array =>
  lineOf(JSON.stringify({ type: 'user', message: { role: 'user', content: [{ type: 'text', text }] } }))

const lineOf = (text: string): Uint8Array => new TextEncoder().encode(`${text}\n`)

function isMessage(line: string): boolean {
  try {
    return Message.safeParse(JSON.parse(line)).success
  } catch {
    return false
  }
}

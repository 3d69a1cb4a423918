import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'

/** Somebody who reads the log wants to know that it goes on, not each time that it does. */
const FOLD_MS = 60 * 60_000
/** Different lines that are remembered; beyond it the oldest is written anew when it comes again. */
const LINES_MAX = 1000

type Line = { readonly untilMs: number; repeated: number }

/** What makes two lines of one message the same beside the exception in `err`: whom and what they are about. */
const ABOUT = ['peer', 'author', 'doc', 'protocol', 'reason', 'code', 'method', 'session'] as const

/**
 * The same log, in which a line that says the same about the same comes once an hour, with how often it would have come
 * in between. Errors too: a disk that fails a thousand times fails once. `debug` is as it was.
 */
export function foldRepeats(log: Log, clock: Pick<Clock, 'monoMs'>): Log {
  const lines = new Map<string, Line>()
  const fold =
    (level: 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void => {
      const key = keyOf(level, fields, message)
      const line = lines.get(key)
      const now = clock.monoMs()
      if (line && now < line.untilMs) {
        line.repeated++
        return
      }
      lines.delete(key)
      const [oldest] = lines.keys()
      if (lines.size >= LINES_MAX && oldest !== undefined) lines.delete(oldest)
      lines.set(key, { untilMs: now + FOLD_MS, repeated: 0 })
      log[level](line && line.repeated > 0 ? { ...fields, repeated: line.repeated } : fields, message)
    }
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: fold('info'),
    warn: fold('warn'),
    error: fold('error'),
  }
}

function keyOf(level: string, fields: object, message: string): string {
  const about = new Map<string, unknown>(Object.entries(fields))
  const err = about.get('err')
  const exception = err instanceof Error ? err.message : null
  return JSON.stringify([level, message, exception, ...ABOUT.map((name) => about.get(name) ?? null)])
}

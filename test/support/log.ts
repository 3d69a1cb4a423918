import type { Log } from '../../node/ports/log.ts'

export type RecordedLog = Log & { readonly lines: { level: string; fields: object; message: string }[] }

/** Keeps what was logged, for assertions. */
export function createRecordedLog(): RecordedLog {
  const lines: RecordedLog['lines'] = []
  const at =
    (level: string) =>
    (fields: object, message: string): void => {
      lines.push({ level, fields, message })
    }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

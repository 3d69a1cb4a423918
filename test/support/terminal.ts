import { spawn } from '@lydell/node-pty'
import { resolve } from 'node:path'

const PROGRAM = resolve(import.meta.dirname, '../../scripts/rookery')

export type TypedAt = {
  /** Resolves with all that is shown, control sequences and echo included, once `text` is in it. @throws when the program ends before */
  until(text: string): Promise<string>
  type(text: string): void
  readonly ended: Promise<{ readonly code: number; readonly shown: string }>
}

/** The real program in a terminal, as a person has it before them. */
export const rookeryInTerminal = (args: readonly string[]): TypedAt => inTerminal(PROGRAM, args)

/** Any program. */
export function inTerminal(file: string, args: readonly string[]): TypedAt {
  // Whatever terminal the tests themselves run in.
  const env = { ...process.env, TERM: 'xterm-256color' }
  const terminal = spawn(file, [...args], { cols: 200, rows: 50, env })
  let shown = ''
  const looks = new Set<() => void>()
  terminal.onData((text) => {
    shown += text
    for (const look of looks) look()
  })
  const ended = new Promise<{ code: number; shown: string }>((done) =>
    terminal.onExit(({ exitCode }) => done({ code: exitCode, shown })),
  )
  return {
    until: async (text) => {
      const seen = Promise.withResolvers<string>()
      const look = (): void => {
        if (shown.includes(text)) seen.resolve(shown)
      }
      looks.add(look)
      look()
      const end = ended.then(() => Promise.reject(new Error(`it ended without "${text}":\n${shown}`)))
      try {
        return await Promise.race([seen.promise, end])
      } finally {
        looks.delete(look)
      }
    },
    type: (text) => terminal.write(text),
    ended,
  }
}

import { z } from 'zod'
import { CommandFailure, EXIT } from './exit.ts'

/** What Node says of a call that the system refused. */
const SystemError = z.object({
  message: z.string(),
  code: z.string(),
  syscall: z.string(),
  path: z.string().optional(),
})

const FULL = ['ENOSPC', 'EDQUOT']
const FORBIDDEN = ['EACCES', 'EPERM', 'EROFS']

/** What the system refused, in a sentence for a person; undefined for any other error. */
export function systemFailure(error: unknown): CommandFailure | undefined {
  const { data } = SystemError.safeParse(error)
  if (data === undefined) return undefined
  const { message, code, path } = data
  const at = path === undefined ? '' : ` (${path})`
  if (isDiskFull(error)) return refused(`The disk is full${at}: make room, then try again.`, 'disk_full')
  if (FORBIDDEN.includes(code))
    return refused(`This user may not do that${at}: ${message}. Try it as the user whom the files belong to.`, code)
  return refused(`The system refused: ${message}.`, code)
}

/** Whether an error, or what caused it, is that nothing more can be written. LevelDB says so in its words only. */
export function isDiskFull(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  if (FULL.includes(code) || /No space left on device|Disk quota exceeded/.test(error.message)) return true
  return isDiskFull(error.cause)
}

const refused = (message: string, code: string): CommandFailure =>
  new CommandFailure(message, EXIT.refused, { code: code.toLowerCase() })

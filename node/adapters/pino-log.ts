import { pino, type DestinationStream } from 'pino'
import type { Log, LogLevel } from '../ports/log.ts'

/** Names under which a secret could slip into a log line; a second line of defence behind not logging it at all. */
const SECRET_NAMES = [
  'password',
  'token',
  'ticket',
  'secret',
  'seed',
  'authorization',
  'cookie',
  'inviteCode',
  'setupCode',
  'setup_code',
]

/** JSON lines on the given stream (default: standard error, which leaves standard output to the commands' answers). */
export function createPinoLog(
  level: LogLevel,
  destination: DestinationStream = pino.destination({ fd: 2, sync: true }),
): Log {
  const logger = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
    },
    destination,
  )
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
  }
}

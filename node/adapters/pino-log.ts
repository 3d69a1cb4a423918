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

/** Lines that wait to be written, as while a disk is full; further ones are lost. */
const WAITING_BYTES_MAX = 1024 * 1024

/** A file or descriptor for a log. What cannot be written to it is no reason for the node to end. */
export function logDestination(dest: string | number): DestinationStream {
  const destination = pino.destination({ dest, sync: true, maxLength: WAITING_BYTES_MAX })
  destination.on('error', () => undefined)
  return destination
}

/** JSON lines on the given stream (default: standard error, which leaves standard output to the commands' answers). */
export function createPinoLog(level: LogLevel, destination: DestinationStream = logDestination(2)): Log {
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

import { EXIT } from './exit.ts'

/**
 * Ends the process, without a word, when it writes to a standard output that nobody reads any more (`… | head -1`); a
 * command that has failed keeps its exit code. Output that is lost for another reason, as on a full disk, is said.
 * Nobody reading what goes to standard error stops nothing.
 */
export function endWithOutput(): void {
  process.stdout.on('error', onLost)
  process.stderr.on('error', () => undefined)
}

/** For a node, which is there for others than who reads its greeting. */
export function goOnWithoutOutput(): void {
  process.stdout.off('error', onLost).on('error', () => undefined)
}

function onLost(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(process.exitCode || EXIT.unread)
  process.stderr.write(`rookery: the output cannot be written: ${error.message}\n`)
  process.exit(EXIT.refused)
}

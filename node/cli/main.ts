import { Command, CommanderError } from 'commander'
import { commandsFor } from './command-table.ts'
import { endWithOutput } from './closed-output.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { DataDirectoryError } from '../adapters/data-directory.ts'
import { rookeryVersion } from './version.ts'

/** The `rookery` program. Exit codes: 0 ok, 1 refused, 2 usage, 3 node not running, 4 held by another or no quorum. */
const program = new Command('rookery')
  .description(
    'A self-hosted mesh of AI coding agents: shared tasks, one winner per claim, terminals on every machine.',
  )
  .version(rookeryVersion(), '-V, --version', 'show the version')
  .helpOption('-h, --help', 'show this help')
  .addHelpText(
    'after',
    '\nExit codes: 0 ok · 1 refused · 2 usage · 3 node not running · 4 held by another, or no quorum',
  )
  .showSuggestionAfterError()

for (const command of await commandsFor(process.argv[2])) program.addCommand(command)
for (const command of allCommands(program)) command.exitOverride()

endWithOutput()
try {
  await program.parseAsync(process.argv)
} catch (error) {
  process.exitCode = report(error)
}

function allCommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(allCommands)]
}

/** Says what went wrong, as JSON too where that was asked for, and chooses the exit code. */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  const failure = error instanceof DataDirectoryError ? new CommandFailure(error.message, EXIT.refused) : error
  if (!(failure instanceof CommandFailure)) throw error
  process.stderr.write(`rookery: ${failure.message}\n`)
  if (process.argv.includes('--json'))
    process.stdout.write(
      `${JSON.stringify({ error: { code: failure.code, message: failure.message, ...(failure.details === undefined ? {} : { details: failure.details }) } })}\n`,
    )
  return failure.exitCode
}

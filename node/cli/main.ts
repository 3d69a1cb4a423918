import { Command, CommanderError } from 'commander'
import { commandsFor } from './command-table.ts'
import { endWithOutput } from './closed-output.ts'
import { CommandFailure, EXIT } from './exit.ts'
import { say } from './say.ts'
import { systemFailure } from './system-failure.ts'
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

/** Says what went wrong, as JSON too where that was asked for, and chooses the exit code. What is a bug keeps its stack. */
function report(error: unknown): number {
  if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok
  const failure = failureIn(error)
  // Commander has said it already.
  if (failure && !(error instanceof CommanderError)) say(`rookery: ${failure.message}`)
  if (process.argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: wireFailure(failure) })}\n`)
  if (!failure) throw error
  return failure.exitCode
}

function failureIn(error: unknown): CommandFailure | undefined {
  if (error instanceof CommandFailure) return error
  if (error instanceof DataDirectoryError) return new CommandFailure(error.message, EXIT.refused)
  if (!(error instanceof CommanderError)) return systemFailure(error)
  const isHelp = error.code === 'commander.help'
  const message = isHelp ? 'There is no such command without a further word: see --help.' : error.message
  return new CommandFailure(message.replace(/^error: /, ''), EXIT.usage, { code: 'usage' })
}

function wireFailure(failure: CommandFailure | undefined): object {
  if (!failure) return { code: 'internal', message: 'The command failed, and standard error says where.' }
  const { code, message, details } = failure
  return { code, message, ...(details === undefined ? {} : { details }) }
}

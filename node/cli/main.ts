import { Command, CommanderError } from 'commander'
import { endWithOutput } from './closed-output.ts'
import { ConfigError } from './config.ts'
import { backupCommands } from './commands/backup.ts'
import { commandsCommand } from './commands/commands.ts'
import { configCommand } from './commands/config.ts'
import { doctorCommand } from './commands/doctor.ts'
import { mcpCommand } from './commands/mcp.ts'
import { meshCommands } from './commands/mesh.ts'
import { metricsCommand } from './commands/metrics.ts'
import { pairCommand } from './commands/pair.ts'
import { pairingCommand } from './commands/pairing.ts'
import { peersCommand } from './commands/peers.ts'
import { recoveryCommand } from './commands/recovery.ts'
import { secretCommand } from './commands/secret.ts'
import { serviceCommand } from './commands/service.ts'
import { sessionCommand } from './commands/session.ts'
import { skillsCommand } from './commands/skills.ts'
import { storageCommand } from './commands/storage.ts'
import { upCommand } from './commands/up.ts'
import { userCommand } from './commands/user.ts'
import { votersCommand } from './commands/voters.ts'
import { workCommands } from './commands/work.ts'
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

program.addCommand(upCommand())
for (const command of meshCommands()) program.addCommand(command)
for (const command of [
  userCommand(),
  ...workCommands(),
  sessionCommand(),
  commandsCommand(),
  mcpCommand(),
  pairCommand(),
  pairingCommand(),
  skillsCommand(),
  peersCommand(),
  votersCommand(),
  recoveryCommand(),
  ...backupCommands(),
  storageCommand(),
  doctorCommand(),
  metricsCommand(),
  secretCommand(),
  serviceCommand(),
  configCommand(),
])
  program.addCommand(command)
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
  const failure =
    error instanceof CommandFailure
      ? error
      : error instanceof ConfigError || error instanceof DataDirectoryError
        ? new CommandFailure(error.message, error instanceof ConfigError ? EXIT.usage : EXIT.refused)
        : undefined
  if (!failure) throw error
  process.stderr.write(`rookery: ${failure.message}\n`)
  if (process.argv.includes('--json'))
    process.stdout.write(
      `${JSON.stringify({ error: { code: failure.code, message: failure.message, ...(failure.details === undefined ? {} : { details: failure.details }) } })}\n`,
    )
  return failure.exitCode
}

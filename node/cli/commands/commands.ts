import { resolve } from 'node:path'
import type { Command as CliCommand } from 'commander'
import { categoryOf, type Command } from '../../../crdt/command.ts'
import { isOver, type Execution } from '../../../crdt/execution.ts'
import { askYes, isSomebodyHere } from '../ask-yes.ts'
import { ask, command, group, print, table, type CommonOptions } from '../command.ts'
import { CommandFailure, EXIT } from '../exit.ts'
import { showExecution } from '../show-execution.ts'
import { wireCommand, wireExecution, wireListed } from '../wire.ts'
import { collect } from './work-flags.ts'

/** What can be run on each machine: found in its projects, or registered. */
export function commandsCommand(): CliCommand {
  const commands = group('commands', 'find and run what the projects on any machine of the mesh can run')
  for (const sub of [list(), search(), show(), add(), run(), executions(), cancel(), remove()]) commands.addCommand(sub)
  return commands
}

type Machine = { readonly machine?: string }
const MACHINE_FLAG = ['--machine <name or id>', 'default: this machine'] as const
const on = ({ machine }: Machine): Machine => (machine === undefined ? {} : { machine })
/** The folder that names are looked up from; it means something on this machine only. */
const near = ({ machine }: Machine): { near?: string } => (machine === undefined ? { near: resolve('.') } : {})

type Listed = { readonly commands: readonly Command[]; readonly isComplete: boolean }

function list(): CliCommand {
  return command('list', 'list the commands of a machine')
    .option(...MACHINE_FLAG)
    .action(async (options: CommonOptions & Machine) =>
      printList(options, await ask(options, 'command.list', on(options))),
    )
}

function search(): CliCommand {
  return command('search', 'find the commands in whose name, line, description or file all words occur')
    .argument('<words...>')
    .option(...MACHINE_FLAG)
    .action(async (words: string[], options: CommonOptions & Machine) =>
      printList(options, await ask(options, 'command.list', { ...on(options), search: words.join(' ') })),
    )
}

function printList(options: CommonOptions, { commands, isComplete }: Listed): void {
  print(options, commands.map(wireListed), () => [
    ...(commands.length === 0
      ? [
          'No commands. They are found in projects (`rookery project add <path>`) or registered (`rookery commands add`).',
        ]
      : table([['COMMAND', 'WHAT IT DOES', 'FOUND IN', 'ID'], ...commands.map(row)])),
    ...(isComplete ? [] : ['There are more: some folders have more than is looked through.']),
  ])
}

const TEXT_CHARS = 48
const short = (text: string): string => {
  const line = text.split('\n', 1)[0] ?? ''
  return line.length > TEXT_CHARS ? `${line.slice(0, TEXT_CHARS - 1)}…` : line
}

const row = (one: Command): string[] => [
  `${one.isDangerous ? '! ' : ''}${short(one.line)}`,
  short(one.description),
  one.source ?? 'registered',
  one.id,
]

function show(): CliCommand {
  return command('show', 'tell what a command does, where it comes from and what it takes')
    .argument('<command>', 'its id, or its name as it is listed')
    .option(...MACHINE_FLAG)
    .action(async (wanted: string, options: CommonOptions & Machine) => {
      const found = await find(options, wanted)
      print(options, wireCommand(found), () => detailsOf(found))
    })
}

const find = (options: CommonOptions & Machine, wanted: string): Promise<Command> =>
  ask<Command>(options, 'command.find', { ...on(options), ...near(options), command: wanted })

const detailsOf = (one: Command): string[] => [
  one.name,
  ...table([
    ['runs', one.line],
    ['does', one.description || '-'],
    ['found in', one.source ?? 'registered'],
    ['in the folder', one.folder ?? 'where it is called'],
    ['type', `${one.type}, ${one.category}${one.isDangerous ? ', dangerous' : ''}`],
    ['arguments', one.arguments.map(placeOf).join(' ') || 'none'],
    ['options', one.options.join(' ') || 'none'],
    ['id', one.id],
  ]),
]

const placeOf = ({ name, required, variadic }: Command['arguments'][number]): string =>
  required ? `<${name}${variadic ? '…' : ''}>` : `[${name}${variadic ? '…' : ''}]`

type AddOptions = {
  name?: string
  type: string
  description: string
  category?: string
  dangerous?: boolean
  argument: string[]
  takes: string[]
  path?: string
}

function add(): CliCommand {
  return command('add', 'register a command on a machine')
    .argument('<line>', 'what runs, like "npm run build"; only the type shell lets a shell read it')
    .option(...MACHINE_FLAG)
    .option('--name <text>', 'default: the line')
    .option('--type <type>', 'a word of your own; shell: the line is read by /bin/sh', 'custom')
    .option('--description <text>', 'what it does', '')
    .option('--category <text>', 'default: by its name')
    .option('--dangerous', 'it deletes, overwrites or publishes; some lines are known to do')
    .option(
      '--argument <name>',
      'a word that callers give; name? if they need not, name... for any number',
      collect,
      [],
    )
    .option('--takes <option>', 'an option that callers may give, like --takes=--force or --takes=--step=', collect, [])
    .option('--path <directory>', 'where it always runs; default: where it is called')
    .action(async (line: string, options: CommonOptions & Machine & AddOptions) => {
      const { name = line, type, description, category, dangerous = false, argument, takes, path } = options
      const folder = path === undefined ? null : options.machine === undefined ? resolve(path) : path
      const input = {
        name,
        type,
        description,
        line,
        category: category ?? categoryOf(name),
        isDangerous: dangerous,
        arguments: argument.map(placeIn),
        options: takes,
        folder,
      }
      const made = await ask<Command>(options, 'command.add', { ...on(options), input })
      print(options, wireCommand(made), () => [made.id])
    })
}

function placeIn(said: string): Command['arguments'][number] {
  const name = said.replace(/(?:\?|\.\.\.|…)+$/, '')
  const end = said.slice(name.length)
  return { name, description: '', required: !end.includes('?'), variadic: /\.\.\.|…/.test(end) }
}

type RunOptions = { option: string[]; path?: string; detach?: boolean; yes?: boolean }

function run(): CliCommand {
  return command('run', 'run a command, show what it puts out and end with its exit code (128 + signal, 130 cancelled)')
    .argument('<command>', 'its id, or its name as it is listed')
    .argument('[arguments...]', 'handed on as they are')
    .option(...MACHINE_FLAG)
    .option('--option <option>', 'one of its options, like --option=--force (may be repeated)', collect, [])
    .option(
      '--path <directory>',
      'where it runs; default: its own folder, else the current one here, the home elsewhere',
    )
    .option('--detach', 'print the id of the execution and leave it to run')
    .option('--yes', 'do not ask before a dangerous one')
    .action(async (wanted: string, given: string[], options: CommonOptions & Machine & RunOptions) => {
      const found = await find(options, wanted)
      if (found.isDangerous && !options.yes) await confirm(found)
      const execution = await ask<Execution>(options, 'command.execute', {
        ...on(options),
        id: found.id,
        arguments: given,
        options: options.option,
        ...folderOf(found, options),
      })
      if (options.detach) return print(options, wireExecution(execution, Date.now()), () => [execution.id])
      const ended = await showExecution(options, execution)
      if (options.json) print(options, wireExecution(ended, Date.now()), () => [])
      process.exitCode = exitCodeOf(ended)
    })
}

/** A relative path can only mean a folder of this machine. */
function folderOf({ folder }: Command, { machine, path }: Machine & RunOptions): { folder?: string } {
  if (machine !== undefined) return path === undefined ? {} : { folder: path }
  return path === undefined && folder !== null ? {} : { folder: resolve(path ?? '.') }
}

async function confirm({ line, source }: Command): Promise<void> {
  const warning = `${line} (${source ?? 'registered'}) may delete, overwrite or publish something.`
  if (!isSomebodyHere()) throw new CommandFailure(`${warning} Say --yes to run it.`, EXIT.usage, { code: 'dangerous' })
  if (!(await askYes(`${warning} Run it?`)))
    throw new CommandFailure('Nothing was run.', EXIT.refused, { code: 'dangerous' })
}

const SIGNALS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGTERM: 15,
}

function exitCodeOf({ status, exitCode, signal }: Execution): number {
  if (status === 'cancelled') return 130
  if (exitCode !== null && (status === 'completed' || status === 'failed')) return exitCode
  return signal === null || status !== 'failed' ? EXIT.refused : 128 + (SIGNALS[signal] ?? 0)
}

function executions(): CliCommand {
  return command('executions', 'list what runs, waits and ran lately, and how it ended')
    .option(...MACHINE_FLAG)
    .action(async (options: CommonOptions & Machine) => {
      const ran = await ask<Execution[]>(options, 'command.executions', on(options))
      const now = Date.now()
      print(
        options,
        ran.map((one) => wireExecution(one, now)),
        () =>
          table([
            ['STATUS', 'COMMAND', 'IN', 'QUEUED', 'ID'],
            ...ran.map((one) => [statusOf(one), short(one.line), one.folder, one.queuedAt, one.id]),
          ]),
      )
    })
}

const statusOf = ({ status, exitCode }: Execution): string =>
  status === 'failed' && exitCode !== null ? `failed (${exitCode})` : status

function cancel(): CliCommand {
  return command('cancel', 'end an execution with everything it started, or take it out of the queue')
    .argument('<execution>')
    .action(async (id: string, options: CommonOptions) => {
      const before = await ask<Execution>(options, 'command.execution', { id })
      const execution = isOver(before) ? before : await ask<Execution>(options, 'command.cancel', { id })
      print(options, wireExecution(execution, Date.now()), () => [
        isOver(before) ? `It is over already: ${statusOf(before)}.` : `${execution.line} is cancelled.`,
      ])
    })
}

function remove(): CliCommand {
  return command('remove', 'remove a registered command')
    .argument('<command>', 'its id, or its name as it is listed')
    .option(...MACHINE_FLAG)
    .action(async (wanted: string, options: CommonOptions & Machine) => {
      const { id, name } = await find(options, wanted)
      await ask<null>(options, 'command.remove', { ...on(options), id })
      print(options, null, () => [`${name} is removed.`])
    })
}

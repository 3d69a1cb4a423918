import { z } from 'zod'
import {
  categoryOf,
  COMMAND_ARGUMENTS_MAX,
  COMMAND_DESCRIPTION_CHARS_MAX,
  COMMAND_LINE_CHARS_MAX,
  COMMAND_NAME_CHARS_MAX,
  COMMAND_OPTIONS_MAX,
  CommandArgument,
  looksDangerous,
  SHELL_COMMAND,
  type CommandInput,
} from '../../../crdt/command.ts'
import { setsLoaderVariable, wordsOf } from '../../../crdt/command-line.ts'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { CommandId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import { decodeCanonical, encodeCanonical } from '../../../protocols/codec.ts'
import type { CommandServiceDeps } from './command-deps.ts'

/** Registered on one machine. All of them are written at once, a few hundred kilobytes. */
export const REGISTERED_MAX = 1000
const STORED_BYTES_MAX = 64 * 1024 * 1024
const FACT = 'commands'

/** What is asked to be registered, as it crosses the mesh. */
export const RegisterInput = z.strictObject({
  name: z.string().trim().min(1).max(COMMAND_NAME_CHARS_MAX),
  type: z.string().regex(/^[a-z][a-z0-9_-]{0,31}$/, 'Lower-case letters, digits, - and _, like npm or shell.'),
  description: z.string().max(COMMAND_DESCRIPTION_CHARS_MAX),
  line: z.string().min(1).max(COMMAND_LINE_CHARS_MAX),
  category: z.string().min(1).max(64).exactOptional(),
  isDangerous: z.boolean(),
  arguments: z.array(CommandArgument).max(COMMAND_ARGUMENTS_MAX),
  options: z.array(z.string().min(1).max(128)).max(COMMAND_OPTIONS_MAX),
  folder: z.string().min(1).max(4096).nullable(),
})

/** What was registered on this machine. */
export const Registered = RegisterInput.extend({
  id: CommandId,
  category: z.string().max(64),
  createdAt: z.iso.datetime(),
  createdBy: z.string().max(128),
})
export type Registered = z.infer<typeof Registered>

export type CommandRegistry = {
  /** Newest first. */
  all(): readonly Registered[]
  /** All or none. @errors invalid_input, limit_reached, storage_failed */
  add(inputs: readonly CommandInput[], createdBy: string): Promise<Result<RegisterResult>>
  /** Those there are of these; durable when it resolves. @errors storage_failed */
  remove(ids: ReadonlySet<string>): Promise<Result<number>>
}
type RegisterResult = {
  readonly commands: readonly Registered[]
  readonly registered: number
  readonly skipped: number
}

type Deps = Pick<CommandServiceDeps, 'store' | 'clock' | 'random' | 'log'>

/** What was registered before is there again; it belongs to the mesh in whose store it lies. */
export async function openCommandRegistry(deps: Deps): Promise<CommandRegistry> {
  let commands = await load(deps)
  let writing: Promise<unknown> = Promise.resolve()
  /** One change at a time, each on what the one before has left. */
  const change = <T>(make: () => Result<{ after: readonly Registered[]; value: T }>): Promise<Result<T>> => {
    const done = writing.then(async () => {
      const made = make()
      if (!made.ok) return made
      const { after, value } = made.value
      if (after !== commands && !(await save(deps, after))) return err(domainError('storage_failed'))
      commands = after
      return ok(value)
    })
    writing = done.catch(() => undefined)
    return done
  }
  return {
    all: () => commands,
    add: (inputs, createdBy) => change(() => added(deps, commands, { inputs, createdBy })),
    remove: (ids) =>
      change(() => {
        const after = commands.filter(({ id }) => !ids.has(id))
        return ok({ after: after.length === commands.length ? commands : after, value: commands.length - after.length })
      }),
  }
}

function added(
  { clock, random }: Deps,
  before: readonly Registered[],
  { inputs, createdBy }: { inputs: readonly CommandInput[]; createdBy: string },
): Result<{ after: readonly Registered[]; value: RegisterResult }> {
  const known = new Map(before.map((command) => [keyOf(command), command]))
  const commands: Registered[] = []
  let skipped = 0
  for (const [at, input] of inputs.entries()) {
    const problem = problemOf(input, inputs.length === 1 ? '' : `commands.${at}.`)
    if (problem) return err(problem)
    const twin = known.get(keyOf(input))
    const command: Registered = {
      ...input,
      arguments: [...input.arguments],
      options: [...input.options],
      id: CommandId.parse(uuidFromRandom(random.bytes(16))),
      category: input.category ?? categoryOf(input.name),
      isDangerous: input.isDangerous || looksDangerous(input.name, input.line),
      createdAt: new Date(clock.wallMs()).toISOString(),
      createdBy,
    }
    if (twin && isSame(twin, command)) {
      commands.push(twin)
      skipped++
      continue
    }
    // To the end, which is where the newest are.
    known.delete(keyOf(input))
    known.set(keyOf(input), command)
    commands.push(command)
  }
  if (known.size > REGISTERED_MAX)
    return err(
      domainError('limit_reached', {
        message: `At most ${REGISTERED_MAX} commands can be registered on a machine. Remove some first.`,
      }),
    )
  const registered = commands.length - skipped
  const fresh = [...known.values()].filter((command) => !before.includes(command)).toReversed()
  const after =
    registered === 0 ? before : [...fresh, ...before.filter((command) => known.get(keyOf(command)) === command)]
  return ok({ after, value: { commands, registered, skipped } })
}

const keyOf = ({ type, name, folder }: Pick<CommandInput, 'type' | 'name' | 'folder'>): string =>
  JSON.stringify([type, name, folder])

function isSame(a: Registered, b: Registered): boolean {
  const textOf = ({ id: _id, createdAt: _at, createdBy: _by, ...rest }: Registered): string =>
    JSON.stringify(Registered.omit({ id: true, createdAt: true, createdBy: true }).parse(rest))
  return textOf(a) === textOf(b)
}

/** What a command may be is settled when it is registered, so that nobody learns of it only when it runs. */
function problemOf(input: CommandInput, at: string): DomainError | undefined {
  const wrong = (field: string, problem: string): DomainError => invalidField(`${at}${field}`, problem)
  if (input.line.includes('\0')) return wrong('command', 'Must not contain NUL.')
  const words = input.type === SHELL_COMMAND ? [] : wordsOf(input.line)
  if ('problem' in words) return wrong('command', words.problem)
  if (input.folder !== null && !isFolderName(input.folder))
    return wrong('cwd', 'Must be an absolute path on the machine.')
  const option = input.options.find((each) => !/^--?[A-Za-z0-9][\w.:-]*=?$/.test(each) || setsLoaderVariable(each))
  if (option !== undefined)
    return wrong('options', `${option} is no option: --force, -v, or --step= for one that takes a value.`)
  const early = input.arguments.slice(0, -1).find(({ variadic }) => variadic)
  return early && wrong('arguments', `Only the last one can take any number of words, not ${early.name}.`)
}

export const isFolderName = (path: string): boolean => path.startsWith('/') && !path.includes('\0')

async function save({ store, log }: Deps, commands: readonly Registered[]): Promise<boolean> {
  try {
    await store.putFact(FACT, encodeCanonical({ v: 1, commands: JSON.stringify(commands) }))
    return true
  } catch (error) {
    log.warn({ err: error }, 'registered commands could not be written')
    return false
  }
}

async function load({ store, log }: Deps): Promise<readonly Registered[]> {
  const stored = await store.getFact(FACT)
  if (stored === undefined) return []
  const { commands } = decodeCanonical(z.object({ v: z.literal(1), commands: z.string() }), stored, STORED_BYTES_MAX)
  const parsed = z.array(Registered).safeParse(JSON.parse(commands))
  if (parsed.success) return parsed.data
  log.error({ problem: parsed.error.message }, 'the registered commands cannot be read: there are none now')
  return []
}

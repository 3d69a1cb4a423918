import {
  categoryOf,
  COMMAND_ARGUMENTS_MAX,
  COMMAND_DESCRIPTION_CHARS_MAX,
  COMMAND_LINE_CHARS_MAX,
  COMMAND_NAME_CHARS_MAX,
  COMMAND_OPTIONS_MAX,
  looksDangerous,
  SHELL_COMMAND,
  type Command,
} from '../../../crdt/command.ts'
import { lineOf, wordsOf } from '../../../crdt/command-line.ts'
import { domainError } from '../../../crdt/errors.ts'
import { CommandId, type ProjectId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import type { FoundCommand } from '../../ports/command-finder.ts'
import { othersTurn } from '../others-turn.ts'
import type { CommandServiceDeps } from './command-deps.ts'
import type { CommandRegistry, Registered } from './command-registry.ts'

/** A command of this machine, with the words that its line stands for. */
export type KnownCommand = Command & { readonly words: readonly string[] }

export type Catalogue = {
  readonly commands: readonly KnownCommand[]
  readonly isComplete: boolean
}

export type CommandCatalogue = {
  /**
   * Everything there is on this machine. What is found in a project is at most a second old, or as old as it takes to look
   * through that project 20 times; a project that was not there before is looked through at once.
   */
  all(): Promise<Catalogue>
  /** Newest first. */
  registered(): readonly KnownCommand[]
  /**
   * Looks at the command's own file again, so that what is answered is what would run.
   * @errors command_not_found, with what has become of it
   */
  find(id: string): Promise<Result<KnownCommand>>
  /** The project on this machine in whose folder the path lies, the innermost. */
  projectAt(path: string): Promise<{ readonly id: ProjectId; readonly folder: string } | undefined>
  stop(): void
}

/** What has just been looked at is not looked at again. */
const FRESH_MS = 1000
/** Looking takes at most a twentieth of the time, however large a project is … */
const FRESH_SCANS = 20
/** … and nothing is older than this. */
const FRESH_MS_MAX = 600_000
/** Commands that are worked on before others have their turn. */
const SLICE = 200

type Found = Catalogue & { readonly commands: readonly Located[]; readonly untilMs: number }
/** Of a found command also where its project begins, to look at it again. */
type Located = KnownCommand & { readonly top: string; readonly folder: string }

type Deps = Pick<CommandServiceDeps, 'self' | 'projects' | 'finder' | 'crypto' | 'clock' | 'log'> & {
  readonly registry: CommandRegistry
}

export function createCommandCatalogue(deps: Deps): CommandCatalogue {
  const { registry, clock } = deps
  const ending = new AbortController()
  /** By the project and its folder. */
  let seen: ReadonlyMap<string, Found> = new Map()
  let latest: Catalogue = { commands: [], isComplete: true }
  let looking: Promise<Catalogue> | undefined

  const look = async (): Promise<Catalogue> => {
    const now = new Map<string, Found>()
    // Two projects may lie within each other: what is in both belongs to the inner one.
    for (const top of (await tops(deps)).toSorted((a, b) => a.folder.length - b.folder.length)) {
      const key = JSON.stringify([top.id, top.folder])
      const known = seen.get(key)
      now.set(key, known && clock.monoMs() < known.untilMs ? known : await lookBelow(deps, top, ending.signal))
    }
    const isSame = now.size === seen.size && [...now].every(([key, found]) => seen.get(key) === found)
    seen = now
    if (!isSame) latest = together([...now.values()])
    return latest
  }
  const found = (): Promise<Catalogue> => (looking ??= look().finally(() => (looking = undefined)))
  const registered = (): KnownCommand[] => registry.all().map((command) => registeredCommand(deps, command))
  return {
    registered,
    async all() {
      const { commands, isComplete } = await found()
      return { commands: [...registered(), ...commands], isComplete }
    },
    async find(id) {
      const own = registered().find((command) => command.id === id)
      if (own) return ok(own)
      const isIt = (command: KnownCommand): boolean => command.id === id
      const known = (latest.commands.find(isIt) ?? (await found()).commands.find(isIt)) as Located | undefined
      return known ? await again(deps, known) : err(domainError('command_not_found'))
    },
    projectAt: (path) => projectAt(deps, path),
    stop: () => ending.abort(new Error('the node stops')),
  }
}

async function lookBelow(deps: Deps, { id: projectId, folder: top }: Top, signal: AbortSignal): Promise<Found> {
  const { clock, finder, log } = deps
  const beganMs = clock.monoMs()
  const { commands: below, isComplete } = await finder.findBelow(top, signal)
  const commands: Located[] = []
  for (const [at, command] of below.entries()) {
    if (at % SLICE === SLICE - 1) await othersTurn(clock)
    commands.push(foundCommand(deps, command, { projectId, top }))
  }
  if (!isComplete)
    log.info({ projectId, commands: commands.length }, 'a project here has more folders or commands than are listed')
  const nowMs = clock.monoMs()
  const freshMs = Math.min(FRESH_MS_MAX, Math.max(FRESH_MS, (nowMs - beganMs) * FRESH_SCANS))
  return { commands, isComplete, untilMs: nowMs + freshMs }
}

function together(all: readonly Found[]): Catalogue {
  const commands = new Map(all.flatMap((found) => found.commands.map((command) => [command.id, command] as const)))
  return { commands: [...commands.values()], isComplete: all.every(({ isComplete }) => isComplete) }
}

async function again(deps: Deps, known: Located): Promise<Result<KnownCommand>> {
  const { top, folder, projectId, id } = known
  const now = await deps.finder.findIn(folder, top)
  const commands = now.map((command) => foundCommand(deps, command, { projectId, top }))
  const same = commands.find((command) => command.id === id)
  if (same) return ok(same)
  const successor = commands.find(({ line, source }) => line === known.line && source === known.source)
  return err(
    domainError('command_not_found', {
      message: successor
        ? `“${known.name}” of ${known.source} does something else by now. Look at it, then use its new id: ${successor.id}.`
        : `“${known.name}” is no longer in ${known.source}.`,
    }),
  )
}

type Top = { readonly id: ProjectId; readonly folder: string }

async function tops({ self, projects }: Deps): Promise<Top[]> {
  return (await projects.all()).flatMap(({ id, paths }) => {
    const folder = paths[self]
    return folder === undefined ? [] : [{ id, folder }]
  })
}

async function projectAt(deps: Deps, path: string): ReturnType<CommandCatalogue['projectAt']> {
  const around = (await tops(deps)).filter(({ folder }) => `${path}/`.startsWith(folder === '/' ? '/' : `${folder}/`))
  return around.toSorted((a, b) => b.folder.length - a.folder.length)[0]
}

function foundCommand(
  { self, crypto }: Deps,
  found: FoundCommand,
  { projectId, top }: { projectId: ProjectId | null; top: string },
): Located {
  const { type, words, description, meaning, source, folder } = found
  const line = lineOf(type === 'script' ? [shortScript(found)] : words)
  // The machine is part of it: one command of one repository has an id of its own on each machine.
  const identity = JSON.stringify([self, type, words, source, folder, meaning, found.arguments, found.options])
  return {
    id: CommandId.parse(uuidFromRandom(crypto.sha256(new TextEncoder().encode(identity)))),
    machineId: machineIdOf(self),
    name: line.slice(0, COMMAND_NAME_CHARS_MAX),
    type,
    description: description.slice(0, COMMAND_DESCRIPTION_CHARS_MAX),
    line: line.slice(0, COMMAND_LINE_CHARS_MAX),
    category: categoryOf(words.at(-1)?.split('/').at(-1) ?? ''),
    isDangerous: looksDangerous(line, `${line}\n${meaning}`),
    arguments: found.arguments.slice(0, COMMAND_ARGUMENTS_MAX),
    options: found.options.slice(0, COMMAND_OPTIONS_MAX),
    source,
    folder,
    projectId,
    createdAt: new Date(found.changedAtMs).toISOString(),
    words,
    top,
  }
}

/** As it is typed in the folder where it runs. */
const shortScript = ({ words: [path = ''], folder }: FoundCommand): string =>
  path.startsWith(`${folder}/`) ? `./${path.slice(folder.length + 1)}` : path

function registeredCommand({ self }: Deps, command: Registered): KnownCommand {
  const { createdBy: _, ...rest } = command
  const words = command.type === SHELL_COMMAND ? shellWords(command) : wordsOf(command.line)
  // Lines are checked before they are kept.
  if ('problem' in words) throw new Error(`a registered command cannot be read: ${words.problem}`)
  return { ...rest, machineId: machineIdOf(self), source: null, projectId: null, words }
}

/** What is given to it are the shell's `$1`, `$2`, …: words that it never reads as text of its own. */
const shellWords = ({ line, name }: Registered): readonly string[] => ['/bin/sh', '-c', line, name]

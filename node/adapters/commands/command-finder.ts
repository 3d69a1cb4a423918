import { opendir, realpath, stat } from 'node:fs/promises'
import { isAbsolute, join, relative, sep } from 'node:path'
import ignore, { type Ignore } from 'ignore'
import type { CommandFinder, FoundCommand, FoundCommands } from '../../ports/command-finder.ts'
import { findProgram, isProgram } from '../find-program.ts'
import { commandsOf, filesOf, NO_LOCK_FILES, toolsOf, type Tools } from './folder.ts'
import { readTextFile } from './read-file.ts'

/** A monorepo of ten thousand packages stays below these. */
const FOLDERS_MAX = 40_000
const COMMANDS_MAX = 20_000
const DEPTH_MAX = 12
/** Folders read at once: more than the threads for files, few enough to leave these to others. */
const AT_ONCE = 8
/** Of one folder; what lies in larger ones is data. */
const NAMES_MAX = 10_000

/** What others wrote, or programs made; never looked into, whatever the project ignores. */
const NEVER = new Set(['node_modules', 'bower_components', 'vendor', 'venv', '__pycache__', 'target', 'dist'])

/** Reads the folders of this machine. `environment` says where programs are. */
export function createCommandFinder(environment: NodeJS.ProcessEnv): CommandFinder {
  return {
    findBelow: (top, signal) => findBelow(top, signal),
    async findIn(folder, top) {
      const listed = await list(folder)
      const tools = await toolsAt(folder, top)
      return listed
        ? await commandsOf(folder, { read: filesOf(folder), names: listed.names, tools, isTop: folder === top })
        : []
    },
    async realFolder(path) {
      try {
        const real = await realpath(path)
        return (await stat(real)).isDirectory() ? real : undefined
      } catch {
        return undefined // not there, or not for us
      }
    },
    program(name, folder) {
      if (!name.includes(sep)) return findProgram(environment, name)
      const path = isAbsolute(name) ? name : join(folder, name)
      return isProgram(path) ? path : undefined
    },
  }
}

type Place = {
  readonly folder: string
  readonly depth: number
  readonly tools: Tools
  readonly rules: readonly Rules[]
}
/** What a `.gitignore` says, and from where on. */
type Rules = { readonly base: string; readonly ignores: Ignore }

/**
 * Breadth first, so that what is left out at a limit lies deep. Links are not followed. Each folder is awaited, so that
 * whatever else the process has to do comes in between.
 */
async function findBelow(top: string, signal: AbortSignal): Promise<FoundCommands> {
  const commands: FoundCommand[] = []
  let level: Place[] = [{ folder: top, depth: 0, tools: NO_LOCK_FILES, rules: [] }]
  let folders = 0
  let isComplete = true
  while (level.length > 0) {
    const next: Place[] = []
    for (let at = 0; at < level.length; at += AT_ONCE) {
      signal.throwIfAborted()
      const places = level.slice(at, at + AT_ONCE)
      folders += places.length
      if (folders > FOLDERS_MAX || commands.length >= COMMANDS_MAX) return { commands, isComplete: false }
      for (const looked of await Promise.all(places.map((place) => lookAt(place, top)))) {
        commands.push(...looked.commands.slice(0, COMMANDS_MAX - commands.length))
        next.push(...looked.below)
        isComplete &&= looked.isComplete
      }
    }
    level = next
  }
  return { commands, isComplete }
}

async function lookAt(place: Place, top: string): Promise<FoundCommands & { readonly below: readonly Place[] }> {
  const { folder, depth } = place
  const listed = await list(folder)
  if (!listed) return { commands: [], below: [], isComplete: true }
  const { names } = listed
  const read = filesOf(folder)
  const tools = await toolsOf(read, names, place.tools)
  const commands = await commandsOf(folder, { read, names, tools, isTop: folder === top })
  if (depth < DEPTH_MAX) return { commands, below: await below(place, listed, tools), isComplete: true }
  return { commands, below: [], isComplete: listed.folders.length === 0 }
}

async function below(place: Place, { names, folders }: Listed, tools: Tools): Promise<Place[]> {
  const own = names.has('.gitignore') ? await readTextFile(join(place.folder, '.gitignore')) : undefined
  const rules = own ? [...place.rules, { base: place.folder, ignores: ignore().add(own.text) }] : place.rules
  return folders
    .map((name) => join(place.folder, name))
    .filter((folder) => !isIgnored(folder, rules))
    .map((folder) => ({ folder, depth: place.depth + 1, tools, rules }))
}

/** The innermost file that says something decides, as in git. */
function isIgnored(folder: string, rules: readonly Rules[]): boolean {
  for (const { base, ignores } of rules.toReversed()) {
    const { ignored, unignored } = ignores.test(`${relative(base, folder)}/`)
    if (ignored || unignored) return ignored
  }
  return false
}

type Listed = { readonly names: ReadonlySet<string>; readonly folders: readonly string[] }

/** Undefined when it is no folder, or one that cannot be read. */
async function list(folder: string): Promise<Listed | undefined> {
  const entries = await opendir(folder, { bufferSize: 256 }).catch(() => undefined)
  if (entries === undefined) return undefined
  const names = new Set<string>()
  const folders: string[] = []
  try {
    for await (const entry of entries) {
      names.add(entry.name)
      if (entry.isDirectory() && !NEVER.has(entry.name) && !entry.name.startsWith('.')) folders.push(entry.name)
      if (names.size >= NAMES_MAX) break
    }
  } catch {
    return undefined // it went away while it was read
  }
  return { names, folders: folders.toSorted() }
}

/** The tools of a folder, as the lock files on the way down to it say. */
async function toolsAt(folder: string, top: string): Promise<Tools> {
  const steps = relative(top, folder).split(sep).filter(Boolean)
  let at = top
  let tools = NO_LOCK_FILES
  for (const step of ['', ...steps]) {
    at = join(at, step)
    const listed = await list(at)
    tools = listed ? await toolsOf(filesOf(at), listed.names, tools) : tools
  }
  return tools
}

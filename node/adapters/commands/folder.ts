import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FoundCommand } from '../../ports/command-finder.ts'
import { artisanCommand, standardArtisan } from './artisan.ts'
import type { Entry } from './entry.ts'
import { executablesIn } from './executables.ts'
import { composerScripts, denoTasks, namedRunner, packageScripts, type ScriptRunner } from './json-files.ts'
import { justRecipes } from './justfile.ts'
import { makeTargets } from './makefile.ts'
import { pythonScripts, type PythonTool } from './pyproject.ts'
import { readTextFile, type TextFile } from './read-file.ts'

/** Which tools a folder uses, as its lock files say; folders below use the same unless they have their own. */
export type Tools = { readonly scripts: ScriptRunner; readonly python: PythonTool | undefined }

export const NO_LOCK_FILES: Tools = { scripts: 'npm', python: undefined }

const SCRIPT_LOCKS: Readonly<Record<string, ScriptRunner>> = {
  'package-lock.json': 'npm',
  'npm-shrinkwrap.json': 'npm',
  'pnpm-lock.yaml': 'pnpm',
  'yarn.lock': 'yarn',
  'bun.lock': 'bun',
  'bun.lockb': 'bun',
}
const PYTHON_LOCKS: Readonly<Record<string, PythonTool>> = {
  'uv.lock': 'uv',
  'poetry.lock': 'poetry',
  'pdm.lock': 'pdm',
}

/** Commands of one application that are read as classes. */
const ARTISAN_CLASSES_MAX = 500
const ARTISAN_CLASSES = ['app', 'Console', 'Commands']

const MANIFESTS = ['package.json', 'composer.json', 'deno.json', 'deno.jsonc', 'pyproject.toml', 'artisan']
/** The order in which GNU make and just look. */
const MAKEFILES = ['GNUmakefile', 'makefile', 'Makefile']
const JUSTFILES = ['justfile', 'Justfile', '.justfile', 'JUSTFILE']

/** The tools of a folder with these files, below one that uses `above`. */
export async function toolsOf(read: ReadFile, names: ReadonlySet<string>, above: Tools): Promise<Tools> {
  const scriptLock = Object.keys(SCRIPT_LOCKS).find((name) => names.has(name))
  const pythonLock = Object.keys(PYTHON_LOCKS).find((name) => names.has(name))
  const named = scriptLock || !names.has('package.json') ? undefined : await read('package.json')
  return {
    scripts: (scriptLock && SCRIPT_LOCKS[scriptLock]) || (named && namedRunner(named.text)) || above.scripts,
    python: (pythonLock && PYTHON_LOCKS[pythonLock]) || above.python,
  }
}

/** Reads a file of a folder, each once. */
export type ReadFile = (name: string) => Promise<TextFile | undefined>

export function filesOf(folder: string): ReadFile {
  const files = new Map<string, Promise<TextFile | undefined>>()
  return (name) => {
    const file = files.get(name) ?? readTextFile(join(folder, name))
    files.set(name, file)
    return file
  }
}

type Look = {
  readonly read: ReadFile
  /** What the folder holds. */
  readonly names: ReadonlySet<string>
  readonly tools: Tools
  readonly isTop: boolean
}

/** Everything that the files of one folder say can be run there. */
export async function commandsOf(folder: string, { read, names, tools, isTop }: Look): Promise<FoundCommand[]> {
  const found: FoundCommand[] = []
  const add = async (name: string | undefined, entriesIn: (text: string) => readonly Entry[]): Promise<void> => {
    if (name === undefined || !names.has(name)) return
    const file = await read(name)
    if (file) found.push(...located(entriesIn(file.text), { folder, name, changedAtMs: file.changedAtMs }))
  }
  const first = (candidates: readonly string[]): string | undefined => candidates.find((name) => names.has(name))
  await add('package.json', (text) => packageScripts(text, tools.scripts))
  await add('composer.json', composerScripts)
  await add('artisan', standardArtisan)
  if (names.has('artisan')) found.push(...(await artisanClasses(folder)))
  await add(first(MAKEFILES), makeTargets)
  await add(first(JUSTFILES), justRecipes)
  await add(first(['deno.json', 'deno.jsonc']), denoTasks)
  await add('pyproject.toml', (text) => pythonScripts(text, tools.python))
  if (isTop || MANIFESTS.some((name) => names.has(name)))
    for (const directory of ['scripts', 'bin'])
      if (names.has(directory)) found.push(...(await executablesIn(folder, { directory })))
  return distinct(found)
}

const located = (
  entries: readonly Entry[],
  { folder, name, changedAtMs }: { folder: string; name: string; changedAtMs: number },
): FoundCommand[] =>
  entries.map((entry) => ({ arguments: [], options: [], ...entry, source: join(folder, name), folder, changedAtMs }))

async function artisanClasses(folder: string): Promise<FoundCommand[]> {
  const found: FoundCommand[] = []
  const classes = await opendir(join(folder, ...ARTISAN_CLASSES)).catch(() => undefined)
  if (classes === undefined) return found
  let seen = 0
  for await (const { name } of classes) {
    if (++seen > ARTISAN_CLASSES_MAX) break
    const path = join(...ARTISAN_CLASSES, name)
    const file = name.endsWith('.php') ? await readTextFile(join(folder, path)) : undefined
    const entry = file && artisanCommand(file.text)
    if (file && entry) found.push(...located([entry], { folder, name: path, changedAtMs: file.changedAtMs }))
  }
  return found.toSorted((a, b) => a.source.localeCompare(b.source))
}

/** An application may say anew what the framework says: its own word counts. */
function distinct(found: readonly FoundCommand[]): FoundCommand[] {
  return [...new Map(found.map((command) => [command.words.join('\0'), command])).values()]
}

import { parse } from 'jsonc-parser'
import type { FoundCommandType } from '../../../crdt/command.ts'
import { ANY_WORDS, isName, objectOf, textOf, type Entry } from './entry.ts'

export type ScriptRunner = Extract<FoundCommandType, 'npm' | 'pnpm' | 'yarn' | 'bun'>

/** Scripts of a `package.json`, run by the package manager that the project uses. */
export function packageScripts(text: string, runner: ScriptRunner): Entry[] {
  const scripts = objectOf(objectOf(jsonOf(text))['scripts'])
  const bodyOf = (name: string): string => textOf(Object.hasOwn(scripts, name) ? scripts[name] : undefined)
  return Object.keys(scripts).flatMap((name) => {
    const body = bodyOf(name)
    const [, hooked] = /^(?:pre|post)(.+)$/.exec(name) ?? []
    // Hooks run with the script that they belong to; they are part of what it means.
    if (!isName(name) || body === '' || (hooked !== undefined && bodyOf(hooked) !== '')) return []
    const meaning = JSON.stringify([bodyOf(`pre${name}`), body, bodyOf(`post${name}`)])
    return { type: runner, words: [runner, 'run', name], description: body, meaning, arguments: ANY_WORDS }
  })
}

/** The package manager that a `package.json` names itself, if it does. */
export function namedRunner(text: string): ScriptRunner | undefined {
  const [name] = textOf(objectOf(jsonOf(text))['packageManager']).split('@')
  return name === 'npm' || name === 'pnpm' || name === 'yarn' || name === 'bun' ? name : undefined
}

/** Which composer runs by itself, on events of its own. */
const COMPOSER_EVENT = /^(?:pre|post)-[a-z-]+$/

export function composerScripts(text: string): Entry[] {
  const file = objectOf(jsonOf(text))
  const [scripts, descriptions] = [objectOf(file['scripts']), objectOf(file['scripts-descriptions'])]
  return Object.entries(scripts).flatMap(([name, body]) => {
    const lines = (Array.isArray(body) ? body : [body]).filter((line) => typeof line === 'string')
    if (!isName(name) || lines.length === 0 || COMPOSER_EVENT.test(name)) return []
    const description = textOf(descriptions[name]) || lines.join(' && ')
    const words = ['composer', 'run-script', name]
    return { type: 'composer', words, description, meaning: JSON.stringify(lines), arguments: ANY_WORDS }
  })
}

export function denoTasks(text: string): Entry[] {
  const tasks = objectOf(objectOf(jsonOf(text))['tasks'])
  return Object.entries(tasks).flatMap(([name, task]) => {
    const { command, description } = objectOf(task)
    const body = textOf(task) || textOf(command)
    if (!isName(name) || body === '') return []
    const words = ['deno', 'task', name]
    const meaning = JSON.stringify(task)
    return { type: 'deno', words, description: textOf(description) || body, meaning, arguments: ANY_WORDS }
  })
}

/** Comments and trailing commas are let pass; what is no JSON at all is nothing. */
const jsonOf = (text: string): unknown => parse(text, [], { allowTrailingComma: true, disallowComments: false })

import type { CommandArgument } from '../../../crdt/command.ts'
import { type Entry } from './entry.ts'

const HEAD =
  /^@?([A-Za-z][\w-]*)((?:\s+(?:[+*]?\$?[A-Za-z_][\w-]*)(?:\s*=\s*(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'":]+))?)*)\s*:(?!=)(.*)$/
const PARAMETER = /([+*]?)\$?([A-Za-z_][\w-]*)(\s*=\s*(?:'[^']*'|"(?:[^"\\]|\\.)*"|[^\s'":]+))?/g
const SETTING = /^(?:set|alias|export|import|mod|unexport)\b/

/** The recipes of a justfile with their parameters. Private ones, imports and modules are left out. */
export function justRecipes(text: string): Entry[] {
  const lines = text.split('\n')
  const entries: Entry[] = []
  for (const [at, line] of lines.entries()) {
    const [, name, parameters = '', rest = ''] = HEAD.exec(line) ?? []
    if (name === undefined || SETTING.test(line)) continue
    const { isPrivate, doc } = aboveOf(lines, at)
    if (isPrivate) continue
    const body = bodyAfter(lines, at)
    entries.push({
      type: 'just',
      words: ['just', name],
      description: doc || (body.find((text) => text !== '') ?? ''),
      meaning: [parameters.trim(), rest.trim(), ...body].join('\n'),
      arguments: argumentsOf(parameters),
    })
  }
  return entries
}

function argumentsOf(parameters: string): CommandArgument[] {
  return [...parameters.matchAll(PARAMETER)].map(([, sign = '', name = '', given]) => ({
    name: name.slice(0, 64),
    description: '',
    required: given === undefined && sign !== '*',
    variadic: sign !== '',
  }))
}

/** What the comment and the attributes directly above a recipe say. */
function aboveOf(lines: readonly string[], at: number): { isPrivate: boolean; doc: string } {
  let [isPrivate, doc] = [false, '']
  for (let above = at - 1; above >= 0; above--) {
    const line = lines[above]?.trim() ?? ''
    if (line.startsWith('[')) {
      isPrivate ||= /\bprivate\b/.test(line)
      doc ||= /\bdoc\(\s*['"](.*?)['"]\s*\)/.exec(line)?.[1] ?? ''
    } else if (line.startsWith('#') && !line.startsWith('#!')) {
      doc ||= line.replace(/^#+\s*/, '')
      break
    } else break
  }
  return { isPrivate, doc }
}

function bodyAfter(lines: readonly string[], at: number): string[] {
  const body: string[] = []
  for (let next = at + 1; /^(?:[ \t]|$)/.test(lines[next] ?? 'end'); next++) body.push(lines[next]?.trim() ?? '')
  return body
}

import { isName, type Entry } from './entry.ts'

const RULE = /^([^\s#:=][^#:=]*?)\s*::?(?!=)([^=]*)$/

/**
 * The targets of a makefile that are meant to be called: those it calls phony, else those that are no file names.
 * Variables and includes are not followed: that would take running make, and make runs what the file says.
 */
export function makeTargets(text: string): Entry[] {
  const lines = text.replaceAll('\\\n', ' ').split('\n')
  const phony = new Set(lines.flatMap((line) => /^\.PHONY\s*:(.*)$/.exec(line)?.[1]?.trim().split(/\s+/) ?? []))
  const targets = new Map<string, { description: string; rule: string[] }>()
  for (const [at, line] of lines.entries()) {
    const [, names = '', rest = ''] = RULE.exec(withoutComment(line)) ?? []
    for (const name of names.split(/\s+/)) {
      if (!isTarget(name) || !(phony.has(name) || /^[\w-]+$/.test(name))) continue
      const known = targets.get(name)
      const description = known?.description || /##\s*(.+)$/.exec(line)?.[1]?.trim() || commentAbove(lines, at)
      targets.set(name, { description, rule: [...(known?.rule ?? []), rest.trim(), ...recipeAfter(lines, at)] })
    }
  }
  return [...targets].map(([name, { description, rule }]) => ({
    type: 'make',
    words: ['make', name],
    description: description || (rule.find((line) => line !== '')?.replace(/^[@-]+/, '') ?? ''),
    meaning: rule.join('\n'),
  }))
}

/** Not `.PHONY`, not `%.o`, not `$(OBJECTS)`, not `SHELL=x`. */
const isTarget = (name: string): boolean => isName(name) && !/^\.|[%$()=]/.test(name)

const withoutComment = (line: string): string => line.replace(/\s*##?.*$/, '')

function commentAbove(lines: readonly string[], at: number): string {
  return /^##?\s*(\S.*)$/.exec(lines[at - 1] ?? '')?.[1]?.trim() ?? ''
}

function recipeAfter(lines: readonly string[], at: number): string[] {
  const recipe: string[] = []
  for (let next = at + 1; lines[next]?.startsWith('\t'); next++) recipe.push(lines[next]?.trim() ?? '')
  return recipe
}

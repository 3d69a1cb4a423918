import { parse } from 'smol-toml'
import { ANY_WORDS, isName, objectOf, textOf, type Entry } from './entry.ts'

export type PythonTool = 'uv' | 'poetry' | 'pdm'

/**
 * Scripts of a `pyproject.toml` for which it is well defined how they are run: entry points through the tool whose lock
 * file there is, and the tasks of pdm, poe, hatch and rye-like tools through these.
 */
export function pythonScripts(text: string, tool: PythonTool | undefined): Entry[] {
  const file = tomlOf(text)
  const tools = objectOf(file['tool'])
  const entryPoints = {
    ...objectOf(objectOf(tools['poetry'])['scripts']),
    ...objectOf(objectOf(file['project'])['scripts']),
  }
  const hatch = objectOf(objectOf(objectOf(objectOf(tools['hatch'])['envs'])['default'])['scripts'])
  return [
    ...(tool === undefined ? [] : entriesOf(entryPoints, [tool, 'run'])),
    ...entriesOf(objectOf(objectOf(tools['pdm'])['scripts']), ['pdm', 'run']),
    ...entriesOf(objectOf(objectOf(tools['poe'])['tasks']), ['poe']),
    ...entriesOf(hatch, ['hatch', 'run']),
  ]
}

const entriesOf = (scripts: Readonly<Record<string, unknown>>, runner: readonly string[]): Entry[] =>
  Object.entries(scripts).flatMap(([name, script]) => {
    // `_` is what pdm and poe keep for themselves.
    if (!isName(name) || name.startsWith('_')) return []
    const { help, cmd, shell, call } = objectOf(script)
    const body = textOf(script) || textOf(cmd) || textOf(shell) || textOf(call)
    const description = textOf(help) || body
    return {
      type: 'python',
      words: [...runner, name],
      description,
      meaning: JSON.stringify(script),
      arguments: ANY_WORDS,
    }
  })

function tomlOf(text: string): Readonly<Record<string, unknown>> {
  try {
    return objectOf(parse(text))
  } catch {
    return {} // no TOML: nothing is well defined
  }
}

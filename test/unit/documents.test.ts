import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { commandsFor } from '../../node/cli/command-table.ts'
import { Config } from '../../node/cli/config.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const DOCUMENTS = ['*.md', 'docs/*.md', 'gateway/**/*.md', 'protocols/*.md'].flatMap((glob) =>
  globSync(glob, { cwd: ROOT }),
)
const textOf = (path: string): string => readFileSync(join(ROOT, path), 'utf8')

const FENCED = /^ *```(\w*)\n([\s\S]*?)^ *```$/gm
/** Without blocks of code; what is meant for an agent to read is read here, too. */
const prose = (text: string): string =>
  text.replace(FENCED, (_, language: string, block: string) => (language === 'markdown' ? block : ''))
const COMMANDS = await commandsFor(undefined)
const SCRIPTS: object = JSON.parse(textOf('package.json')).scripts

describe.each(DOCUMENTS)('%s', (path) => {
  const text = textOf(path)

  it('links only to what there is', () => {
    const links = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to = '']) => to)
    const broken = links.filter((to) => !/^https?:/.test(to) && !isThere(path, to))
    expect(broken).toEqual([])
  })

  it('tells only of commands, options and scripts that there are', () => {
    const unknown = linesOf(text).flatMap((line) => [
      ...[...line.matchAll(/npm run ([\w:]+)/g)].flatMap(([, name = '']) =>
        name in SCRIPTS ? [] : [`npm run ${name}`],
      ),
      ...[...line.matchAll(/(?<![\w./@~-]|ROOKERY_\w*)(?:scripts\/)?rookery( [^|;&<>)]*)?/g)].flatMap(([, said = '']) =>
        unknownIn(said),
      ),
    ])
    expect(unknown).toEqual([])
  })
})

it('the manual names every setting, and no other', () => {
  const table = /^## Configuration$([\s\S]*?)^## /m.exec(textOf('docs/operating.md'))?.[1] ?? ''
  const told = [...table.matchAll(/^\| (`.*?`) +\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  )
  const settings = settingsIn(z.toJSONSchema(Config, { unrepresentable: 'any', io: 'input' }) as Schema)
  const covers = (one: string, name: string): boolean => name === one || name.startsWith(`${one}.`)
  expect(settings.filter((name) => !told.some((one) => covers(one, name)))).toEqual([])
  expect(told.filter((one) => !settings.some((name) => covers(one, name)))).toEqual([])
})

function isThere(from: string, to: string): boolean {
  const [file = '', anchor] = to.split('#')
  const path = file === '' ? join(ROOT, from) : resolve(ROOT, dirname(from), file)
  if (!existsSync(path)) return false
  return anchor === undefined || headingsOf(readFileSync(path, 'utf8')).includes(anchor)
}

/** As GitHub names them. */
const headingsOf = (text: string): string[] =>
  [...prose(text).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )

/** What stands in blocks for a shell, without comments, and in words set as code. */
const linesOf = (text: string): string[] => [
  ...[...text.matchAll(FENCED)].flatMap(([, language = '', block = '']) =>
    ['sh', 'bash'].includes(language) ? block.split('\n').map((line) => line.replace(/(^|\s)#.*$/, '')) : [],
  ),
  ...[...prose(text).matchAll(/`([^`]+)`/g)].map(([, code = '']) => code.replaceAll(/\s+/g, ' ')),
]

/** The words up to the first that is no command, and every option behind them. */
function unknownIn(said: string): string[] {
  const words: readonly string[] = said.match(/"[^"]*"|'[^']*'|\S+/g) ?? []
  const end = words.indexOf('--')
  const before = end < 0 ? words : words.slice(0, end)
  let known: readonly Command[] = COMMANDS
  let at: Command | undefined
  const rest = [...before]
  while (known.length > 0 && /^[a-z][a-z-]*$/.test(rest[0] ?? '')) {
    at = known.find((command) => command.name() === rest[0])
    if (at === undefined) return [`rookery${said}`]
    known = at.commands
    rest.shift()
  }
  const options = [...(at?.options.map(({ long }) => long) ?? []), '--help', '--version']
  return rest.filter((word) => /^--[a-z]/.test(word) && at !== undefined && !options.includes(word.replace(/=.*$/, '')))
}

type Schema = { readonly properties?: Readonly<Record<string, Schema>> }

/** Dotted names of what can be set. */
const settingsIn = (schema: Schema, prefix = ''): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([name, inner]) =>
    inner.properties === undefined ? [prefix + name] : settingsIn(inner, `${prefix}${name}.`),
  )

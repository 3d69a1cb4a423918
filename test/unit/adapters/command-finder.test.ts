import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createCommandFinder } from '../../../node/adapters/commands/command-finder.ts'
import type { FoundCommand } from '../../../node/ports/command-finder.ts'

let top: string
beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'rk-find-')))
})
afterEach(() => rmSync(top, { recursive: true, force: true }))

const finder = createCommandFinder({ PATH: '/usr/bin:/bin' })

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(top, name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, content)
    if (content.startsWith('#!')) chmodSync(path, 0o700)
  }
}
const scripts = (...names: string[]): string =>
  JSON.stringify({ scripts: Object.fromEntries(names.map((name) => [name, `run ${name}`])) })

async function found(): Promise<readonly FoundCommand[]> {
  return (await finder.findBelow(top, new AbortController().signal)).commands
}
const lines = (commands: readonly FoundCommand[]): string[] =>
  commands.map(({ words, folder }) => [relative(top, folder), ...words].join(' ').trim())

test('scripts run with the package manager whose lock file is nearest', async () => {
  write({
    'package.json': scripts('a'),
    'yarn.lock': '',
    'packages/b/package.json': scripts('b'),
    'packages/c/package.json': scripts('c'),
    'packages/c/bun.lock': '',
    'packages/d/package.json': JSON.stringify({ packageManager: 'pnpm@10.0.0', scripts: { d: 'x' } }),
  })
  expect(lines(await found())).toEqual([
    'yarn run a',
    'packages/b yarn run b',
    'packages/c bun run c',
    'packages/d pnpm run d',
  ])
  const at = await finder.findIn(join(top, 'packages/b'), top)
  expect(at).toEqual((await found()).filter(({ folder }) => folder.endsWith('/b')))
})

test('hooks belong to their scripts', async () => {
  write({ 'package.json': scripts('build', 'prebuild', 'postinstall') })
  const [build, install] = await found()
  expect([build?.words.at(-1), install?.words.at(-1)]).toEqual(['build', 'postinstall'])
  expect(build?.meaning).toContain('run prebuild')
})

test('what is ignored, what others wrote and what links lead to is not looked into', async () => {
  write({
    'package.json': scripts('a'),
    '.gitignore': 'out/\n/only-here\n*.tmp/\n!keep.tmp/\n',
    'out/package.json': scripts('x'),
    'only-here/package.json': scripts('x'),
    'a.tmp/package.json': scripts('x'),
    'keep.tmp/package.json': scripts('kept'),
    'sub/only-here/package.json': scripts('kept-too'),
    'sub/.gitignore': 'inner\n',
    'sub/inner/package.json': scripts('x'),
    'node_modules/m/package.json': scripts('x'),
    'vendor/v/composer.json': scripts('x'),
    '.hidden/package.json': scripts('x'),
  })
  symlinkSync(top, join(top, 'loop'))
  expect(lines(await found())).toEqual(['npm run a', 'keep.tmp npm run kept', 'sub/only-here npm run kept-too'])
})

test('targets of a makefile are those that can be called', async () => {
  write({
    Makefile: `CC := gcc
NAME ?= x
.PHONY: all v1.2 ## the phony ones
all: main.o  ## Build everything
\t@$(CC) -o main
# Run the tests
test check: all
\t./run-tests
main.o: main.c
\tcc -c main.c
%.o: %.c
v1.2:
\techo release
$(OBJ): x
url = http://example.org
`,
  })
  expect((await found()).map(({ words, description }) => [words[1], description])).toEqual([
    ['all', 'Build everything'],
    ['test', 'Run the tests'],
    ['check', 'Run the tests'],
    ['v1.2', 'echo release'],
  ])
})

test('recipes of a justfile are found with their parameters', async () => {
  write({
    justfile: `set shell := ["bash", "-c"]
version := "1: 2"
alias b := build
import 'other.just'

# Build one target
build target='release: "x"' +flags: setup && after
  cargo build
[private]
setup:
  true
_hidden:
  true
@quiet who $env *rest:
  echo
[doc('Says more')]
documented:
  true
`,
  })
  const recipes = await found()
  expect(recipes.map(({ words, description }) => [words[1], description])).toEqual([
    ['build', 'Build one target'],
    ['quiet', 'echo'],
    ['documented', 'Says more'],
  ])
  expect(recipes[0]?.arguments).toMatchObject([
    { name: 'target', required: false, variadic: false },
    { name: 'flags', required: true, variadic: true },
  ])
  expect(recipes[1]?.arguments).toMatchObject([
    { name: 'who', required: true },
    { name: 'env', required: true },
    { name: 'rest', required: false, variadic: true },
  ])
})

test('Python entry points run with the tool whose lock file there is, tasks with their own', async () => {
  write({
    'pyproject.toml': `[project.scripts]\nserve = "app:main"\n[tool.pdm.scripts]\nstart = { cmd = "flask run", help = "Start it" }\n_.env_file = ".env"\n`,
    'a/pyproject.toml': `[project.scripts]\nserve = "app:main"\n[tool.hatch.envs.default.scripts]\nfmt = "black ."\n`,
    'a/uv.lock': '',
    'b/pyproject.toml': 'not toml at all [',
  })
  expect(lines(await found())).toEqual(['pdm run start', 'a uv run serve', 'a hatch run fmt'])
})

test('programs of scripts and bin are found when the system can start them', async () => {
  write({
    'scripts/one.sh': '#!/bin/sh\n# Does one thing\n',
    'scripts/no-shebang': 'echo',
    'bin/plain.txt': 'text',
    'pkg/bin/tool': '#!/usr/bin/env node\n// A tool\n',
    'pkg/package.json': scripts('x'),
    'nothing/scripts/two.sh': '#!/bin/sh\n',
  })
  chmodSync(join(top, 'scripts/no-shebang'), 0o755)
  symlinkSync('/bin/sh', join(top, 'scripts/link'))
  execFileSync('mkfifo', [join(top, 'scripts/fifo')])
  chmodSync(join(top, 'scripts/fifo'), 0o755)
  const programs = (await found()).filter(({ type }) => type === 'script')
  expect(programs.map(({ words, description }) => [relative(top, words[0] ?? ''), description])).toEqual([
    ['scripts/one.sh', 'Does one thing'],
    ['pkg/bin/tool', 'A tool'],
  ])
})

test('files that are not what their name says are passed over', async () => {
  write({
    'package.json': '{"scripts": "x"}',
    'composer.json': '[]',
    'deno.json': '// a comment\n{ "tasks": { "a": { "command": "x", "description": "d" }, }, }',
    'a/package.json': '{"scripts": {"-rf": "x", "__proto__": "y", "ok": 1, "fine": "z"}}',
  })
  execFileSync('mkfifo', [join(top, 'Makefile')])
  mkdirSync(join(top, 'justfile'))
  expect(lines(await found())).toEqual(['deno task a', 'a npm run fine'])
})

test('a large monorepo is looked through while others have their turns', async () => {
  for (let n = 0; n < 300; n++) write({ [`packages/p${n}/package.json`]: scripts('a', 'b') })
  let turns = 0
  let isLooking = true
  const count = (): void => {
    turns++
    if (isLooking) setImmediate(count)
  }
  setImmediate(count)
  const commands = await found()
  isLooking = false
  expect(commands).toHaveLength(600)
  expect(turns).toBeGreaterThan(300)
})

test('looking ends when nobody wants to know any more', async () => {
  write({ 'package.json': scripts('a') })
  await expect(finder.findBelow(top, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough')
})

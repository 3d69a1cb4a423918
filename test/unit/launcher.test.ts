import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

const SCRIPT = resolve(import.meta.dirname, '../../scripts/rookery')
const BUILT_AT = 1_700_000_000
const SOURCES = ['crdt/a.ts', 'protocols/a.ts', 'node/cli/main.ts', 'gateway/a.ts', 'package-lock.json']

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rookery-launcher-'))
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  mkdirSync(join(root, 'node_modules/.bin'), { recursive: true })
  symlinkSync(process.execPath, join(root, 'node_modules/.bin/node'))
  mkdirSync(join(root, 'scripts'))
  cpSync(SCRIPT, join(root, 'scripts/rookery'))
  put('package.json', '{ "type": "module" }')
  for (const path of SOURCES) put(path, "console.log('source')")
  put('dist/main.js', "console.log('bundle')")
  for (const path of SOURCES) for (const at of [path, dirname(path)]) utimesSync(join(root, at), BUILT_AT, BUILT_AT)
  for (const at of ['node/cli', 'node']) utimesSync(join(root, at), BUILT_AT, BUILT_AT)
})
afterEach(() => rmSync(root, { recursive: true }))

const ran = (): string => execFileSync(join(root, 'scripts/rookery'), { encoding: 'utf8' }).trim()

it('runs the bundle as long as no source is newer', () => {
  expect(ran()).toBe('bundle')
})

it.each(SOURCES)('runs the source when %s was changed since it was bundled', (path) => {
  const later = Date.now() / 1000 + 60
  utimesSync(join(root, path), later, later)
  expect(ran()).toBe('source')
})

it('runs the source where nothing was bundled, and the bundle where there is no source', () => {
  rmSync(join(root, 'dist'), { recursive: true })
  expect(ran()).toBe('source')
  mkdirSync(join(root, 'dist'))
  writeFileSync(join(root, 'dist/main.js'), "console.log('bundle')")
  rmSync(join(root, 'node'), { recursive: true })
  expect(ran()).toBe('bundle')
})

it('has freed memory given back to the system, unless its user has decided about that', () => {
  writeFileSync(
    join(root, 'dist/main.js'),
    'const { MALLOC_ARENA_MAX: pools, MALLOC_MMAP_THRESHOLD_: large } = process.env\nconsole.log(pools, large)',
  )
  const told = (env: NodeJS.ProcessEnv): string =>
    execFileSync(join(root, 'scripts/rookery'), { encoding: 'utf8', env: { ...process.env, ...env } }).trim()
  expect(told({})).toBe('2 131072')
  expect(told({ MALLOC_ARENA_MAX: '8' })).toBe('8 131072')
})

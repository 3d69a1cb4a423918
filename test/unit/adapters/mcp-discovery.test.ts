import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createMcpDiscovery } from '../../../node/adapters/mcp-discovery.ts'

let home: string
let project: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'rk-home-'))
  project = join(home, 'app')
  for (const folder of ['.codex', '.config/opencode', 'app']) await mkdir(join(home, folder), { recursive: true })
})
afterEach(() => rm(home, { recursive: true }))

const discovery = () => createMcpDiscovery({ environment: { HOME: home, SECRET: 'not told' }, home })
const find = () => discovery().find([project])
const json = (path: string, content: object) => writeFile(join(home, path), JSON.stringify(content))

it('reads what claude, codex and opencode have, the own files first', async () => {
  await json('.claude.json', {
    mcpServers: { a: { command: 'npx', args: ['-y', 'a'], env: { K: 'v' } } },
    projects: { [project]: { mcpServers: { b: { type: 'http', url: 'https://b.example/mcp', headers: { X: 'y' } } } } },
  })
  await writeFile(
    join(home, '.codex/config.toml'),
    '[mcp_servers.c]\ncommand = "uvx"\nargs = ["c"]\n\n[mcp_servers.off]\ncommand = "x"\nenabled = false\n',
  )
  await writeFile(
    join(home, '.config/opencode/opencode.jsonc'),
    '{ // mine\n "mcp": { "d": { "type": "local", "command": ["bun", "d"], "environment": {} }, } }',
  )
  await json('app/.mcp.json', { mcpServers: { 'e f': { command: './run.sh' } } })
  const found = await find()
  expect(found.map(({ name, isOwn, from }) => [name, isOwn, from])).toEqual([
    ['a', true, 'claude'],
    ['b', true, 'claude'],
    ['c', true, 'codex'],
    ['d', true, 'opencode'],
    ['e-f', false, 'app'],
  ])
  expect(found.map(({ program }) => program)).toEqual([
    { transport: 'stdio', command: 'npx', args: ['-y', 'a'], env: { K: 'v' }, cwd: null },
    { transport: 'http', url: 'https://b.example/mcp', headers: { X: 'y' } },
    { transport: 'stdio', command: 'uvx', args: ['c'], env: {}, cwd: null },
    { transport: 'stdio', command: 'bun', args: ['d'], env: {}, cwd: null },
    { transport: 'stdio', command: join(project, 'run.sh'), args: [], env: {}, cwd: project },
  ])
  expect(found.map(({ problem }) => problem)).toEqual([null, null, null, null, null])
})

it('tells definitions what every program may know, and nothing else of the environment', async () => {
  await json('app/.mcp.json', {
    mcpServers: {
      a: { command: 'x', args: ['${HOME}/a', '${SECRET}', '${OTHER:-usual}'] },
      b: { url: 'https://x/${SECRET}' },
    },
  })
  const [a, b] = await find()
  expect(a?.program).toMatchObject({ args: [`${home}/a`, '${SECRET}', 'usual'] })
  expect([a?.problem, b?.problem].map((said) => said?.includes('SECRET'))).toEqual([true, true])
  expect(JSON.stringify([a, b])).not.toContain('not told')
})

it('has nothing of a file that is broken, too large, or no file', async () => {
  await writeFile(join(home, '.claude.json'), '{ "mcpServers": ')
  execFileSync('mkfifo', [join(project, '.mcp.json')])
  await symlink('/dev/zero', join(project, 'opencode.json'))
  await json('app/opencode.jsonc', { mcp: { odd: { type: 'magic' }, fine: { type: 'remote', url: 'https://x' } } })
  expect((await find()).map(({ name, problem }) => [name, problem === null])).toEqual([
    ['odd', false],
    ['fine', true],
  ])
})

it('sees a change at the next look', async () => {
  const one = discovery()
  const write = (args: string[]) => json('app/.mcp.json', { mcpServers: { a: { command: 'x', args } } })
  await write(['1'])
  const first = await one.find([project])
  expect(await one.find([project])).toEqual(first)
  await write(['22'])
  expect(await one.find([project])).toMatchObject([{ program: { args: ['22'] } }])
  await rm(join(project, '.mcp.json'))
  expect(await one.find([project])).toEqual([])
})

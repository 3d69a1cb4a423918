import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { McpProgram } from '../../../crdt/mcp.ts'
import { createMcpDefinitionFile } from '../../../node/adapters/mcp-definition-file.ts'

let folder: string
beforeEach(async () => {
  folder = join(await mkdtemp(join(tmpdir(), 'rk-mcp-')), 'mcp')
})
afterEach(() => rm(join(folder, '..'), { recursive: true }))

const program: McpProgram = {
  transport: 'stdio',
  command: 'node',
  args: ['a', 'b'],
  env: { A: '1', B: '2' },
  cwd: null,
}
const file = { v: 1, definitions: [], approvals: ['x'] } as const

it('keeps what it is given, for this user alone', async () => {
  const one = createMcpDefinitionFile(folder)
  expect(await one.read()).toEqual({ v: 1, definitions: [], approvals: [] })
  await one.write({ ...file, definitions: [], approvals: ['x'] })
  expect(await createMcpDefinitionFile(folder).read()).toEqual(file)
  expect([(await stat(folder)).mode & 0o777, (await stat(join(folder, 'servers.json'))).mode & 0o777]).toEqual([
    0o700, 0o600,
  ])
})

it('does not read what others may read, nor write over what it does not understand', async () => {
  const one = createMcpDefinitionFile(folder)
  await one.write({ ...file, definitions: [], approvals: [] })
  const path = join(folder, 'servers.json')
  await chmod(path, 0o644)
  await expect(one.read()).rejects.toThrow('chmod 600')
  await chmod(path, 0o600)
  await writeFile(path, '{"v":2}')
  await expect(one.read()).rejects.toThrow('is not what Rookery wrote')
  expect(await readFile(path, 'utf8')).toBe('{"v":2}')
})

it('has one fingerprint for one program, and another for each change of it', async () => {
  const one = createMcpDefinitionFile(folder)
  const changed: McpProgram[] = [
    { ...program, command: 'deno' },
    { ...program, args: ['a b'] },
    { ...program, env: { A: '1', B: '3' } },
    { ...program, cwd: '/' },
    { transport: 'http', url: 'https://x', headers: {} },
    { transport: 'http', url: 'https://x', headers: { X: 'y' } },
  ]
  const prints = await Promise.all([program, ...changed].map((other) => one.fingerprint(other)))
  expect(new Set(prints).size).toBe(prints.length)
  expect(await createMcpDefinitionFile(folder).fingerprint({ ...program, env: { B: '2', A: '1' } })).toBe(prints[0])
  // Of another machine it says nothing: secrets cannot be tried out on it.
  const elsewhere = createMcpDefinitionFile(join(folder, 'other'))
  expect(await elsewhere.fingerprint(program)).not.toBe(prints[0])
})

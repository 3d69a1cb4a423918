import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'

/**
 * Plants every kind of forbidden import (and a permitted one beside it) in an empty tree and asks the real linter with
 * the real configuration. A boundary rule that silently stopped working would show here.
 */
const FORBIDDEN: readonly [file: string, line: string][] = [
  ['crdt/a.ts', "import { x } from '../protocols/codec.ts'"],
  ['crdt/a.ts', "import { x } from 'node:fs'"],
  ['crdt/a.ts', "import { x } from 'libp2p'"],
  ['crdt/a.ts', 'export const x = Date.now()'],
  ['crdt/a.ts', 'export const x = Math.random()'],
  ['crdt/a.ts', 'setTimeout(() => undefined, 1)'],
  ['protocols/a.ts', "import { x } from '../node/ports/clock.ts'"],
  ['protocols/lease/a.ts', "import { x } from '../../node/services/rpc.ts'"],
  ['protocols/a.ts', "import { x } from 'node:crypto'"],
  ['protocols/a.ts', "import { x } from 'level'"],
  ['protocols/a.ts', 'export const x = performance.now()'],
  ['node/ports/a.ts', "import { x } from '../services/rpc.ts'"],
  ['node/ports/a.ts', "import { x } from 'level'"],
  ['node/services/a.ts', "import { x } from '../adapters/level-store.ts'"],
  ['node/services/a.ts', "import { x } from '../p2p/network.ts'"],
  ['node/services/tasks/a.ts', "import { x } from '../../adapters/level-store.ts'"],
  ['node/services/a.ts', "import { x } from '../../gateway/server.ts'"],
  ['node/services/a.ts', "import { x } from 'node:fs'"],
  ['node/services/a.ts', "import { x } from 'fastify'"],
  ['node/services/a.ts', 'export const x = Date.now()'],
  ['node/p2p/a.ts', "import { x } from '../services/task-service.ts'"],
  ['node/p2p/a.ts', "import { x } from '../adapters/level-store.ts'"],
  ['node/p2p/a.ts', "import { x } from 'fastify'"],
  ['node/adapters/a.ts', "import { x } from '../p2p/network.ts'"],
  ['node/adapters/a.ts', "import { x } from '../../gateway/server.ts'"],
  ['node/hosts/a.ts', "import { x } from '../cli/main.ts'"],
  ['node/cli/a.ts', "import { x } from '../../test/support/clock.ts'"],
  ['gateway/http/a.ts', "import { x } from '../../node/p2p/network.ts'"],
  ['gateway/http/a.ts', "import { x } from '../../node/adapters/level-store.ts'"],
  ['gateway/dialects/claudenest/a.ts', "import { x } from 'fastify'"],
  ['gateway/dialects/claudenest/a.ts', "import { x } from '../../../node/cli/main.ts'"],
]

const PERMITTED: readonly [file: string, line: string][] = [
  ['crdt/a.ts', "import { ok } from './result.ts'"],
  ['crdt/a.ts', "import { Doc } from 'yjs'"],
  ['protocols/lease/a.ts', "import { PeerId } from '../../crdt/ids.ts'"],
  ['protocols/a.ts', "import { encode } from 'cborg'"],
  ['node/services/a.ts', "import { encodeCanonical } from '../../protocols/codec.ts'"],
  ['node/p2p/a.ts', "import { createLibp2p } from 'libp2p'"],
  ['node/adapters/a.ts', "import { Level } from 'level'"],
  ['gateway/http/a.ts', "import { can } from '../../crdt/actor.ts'"],
  ['gateway/dialects/claudenest/a.ts', "import { z } from 'zod'"],
]

const root = resolve(import.meta.dirname, '../..')
let tree: string

beforeAll(async () => {
  tree = await mkdtemp(join(tmpdir(), 'rookery-boundaries-'))
  const config: Record<string, unknown> = JSON.parse(await readFile(join(root, '.oxlintrc.json'), 'utf8'))
  // The planted files have no types to be aware of.
  await writeFile(join(tree, '.oxlintrc.json'), JSON.stringify({ ...config, options: {} }))
  await writeFile(join(tree, '.gitignore'), 'node_modules\n')
})
afterAll(() => rm(tree, { recursive: true, force: true }))

type Diagnostic = { code: string; filename: string }

/** Lints one planted file per line, all in one run, and says which lines broke a boundary. */
async function violations(lines: readonly [string, string][]): Promise<boolean[]> {
  const planted = lines.map(([file, line], i) => ({ file: file.replace('a.ts', `planted-${i}.ts`), line }))
  for (const { file, line } of planted) {
    await mkdir(dirname(join(tree, file)), { recursive: true })
    await writeFile(join(tree, file), `${line}\n`)
  }
  const run = promisify(execFile)(join(root, 'node_modules/.bin/oxlint'), ['--format', 'json', '.'], {
    cwd: tree,
    maxBuffer: 2 ** 24,
  })
  const { stdout } = await run.catch((error: { stdout: string }) => error)
  const diagnostics: Diagnostic[] = JSON.parse(stdout).diagnostics
  await Promise.all(planted.map(({ file }) => rm(join(tree, file))))
  return planted.map(({ file }) =>
    diagnostics.some((d) => d.code.includes('no-restricted') && d.filename.endsWith(file)),
  )
}

it('refuses every import and global that crosses a boundary', async () => {
  const broken = await violations(FORBIDDEN)
  expect(FORBIDDEN.filter((_, i) => !broken[i])).toEqual([])
})

it('permits what the architecture allows', async () => {
  const broken = await violations(PERMITTED)
  expect(PERMITTED.filter((_, i) => broken[i])).toEqual([])
})

import { createHmac, randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { McpProgram } from '../../crdt/mcp.ts'
import { McpFile, type McpDefinitions } from '../ports/mcp-definitions.ts'
import { writeNewFile } from './data-directory.ts'
import { syncFolder } from './sync-folder.ts'

const FILE_BYTES_MAX = 64 * 1024 * 1024
const KEY_BYTES = 32

export const DEFINITIONS_FILE = 'servers.json'
export const FINGERPRINT_KEY_FILE = 'fingerprint.key'

/**
 * Definitions and approvals in `servers.json` of a folder of mode 0700, itself 0600. Fingerprints are keyed with a secret
 * beside it, so that nobody can try out the secrets of a definition on them.
 */
export function createMcpDefinitionFile(folder: string): McpDefinitions {
  const path = join(folder, DEFINITIONS_FILE)
  let key: Promise<Uint8Array> | undefined
  return {
    async read() {
      const text = await readPrivate(path)
      if (text === undefined) return { v: 1, definitions: [], approvals: [] }
      try {
        return McpFile.parse(JSON.parse(text.toString('utf8')))
      } catch (cause) {
        throw new Error(`${path} is not what Rookery wrote. Mend it, or move it away; its servers are then unknown.`, {
          cause,
        })
      }
    },
    async write(file) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      await replace(path, Buffer.from(JSON.stringify(file, null, 2)))
    },
    async fingerprint(program) {
      key ??= readOrCreateKey(join(folder, FINGERPRINT_KEY_FILE), folder)
      try {
        return createHmac('sha256', await key)
          .update(canonical(program))
          .digest('hex')
      } catch (error) {
        key = undefined
        throw error
      }
    },
  }
}

/** The order of names in a file does not change what runs. */
function canonical(program: McpProgram): string {
  const sorted = (all: Readonly<Record<string, string>>): [string, string][] =>
    Object.entries(all).toSorted(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify(
    program.transport === 'stdio'
      ? ['stdio', program.command, program.args, sorted(program.env), program.cwd]
      : ['http', program.url, sorted(program.headers)],
  )
}

async function readOrCreateKey(path: string, folder: string): Promise<Uint8Array> {
  const existing = await readPrivate(path)
  if (existing?.byteLength === KEY_BYTES) return existing
  // One that is damaged is replaced: what was approved by it has to be approved again.
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const fresh = randomBytes(KEY_BYTES)
  await replace(path, fresh)
  return fresh
}

async function replace(path: string, content: Uint8Array): Promise<void> {
  const fresh = `${path}.new`
  await rm(fresh, { force: true })
  await writeNewFile(fresh, content)
  await rename(fresh, path)
  await syncFolder(join(path, '..'))
}

async function readPrivate(path: string): Promise<Buffer | undefined> {
  let file
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { mode, size } = await file.stat()
    if ((mode & 0o077) !== 0) throw new Error(`Others may read ${path}. Run: chmod 600 '${path}'`)
    if (size > FILE_BYTES_MAX) throw new Error(`${path} is larger than ${FILE_BYTES_MAX} bytes.`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

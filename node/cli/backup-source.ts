import { join } from 'node:path'
import { z } from 'zod'
import { PeerId } from '../../crdt/ids.ts'
import type { BackupRecord } from '../adapters/backup-records.ts'
import { readIfThere, type DataDirectory } from '../adapters/data-directory.ts'
import type { LevelStore } from '../adapters/level-store.ts'
import { SECRET_FILES } from '../adapters/secret-files.ts'
import { rookeryVersion } from './version.ts'

/** What a backup is of. Later releases may say more. */
export const BackupHead = z.object({
  v: z.literal(1),
  /** The folder of the mesh, which is its id. */
  mesh: z.string().regex(/^[0-9a-f]{64}$/),
  peer: PeerId,
  rookeryVersion: z.string().max(64),
  createdAt: z.iso.datetime(),
})
export type BackupHead = z.infer<typeof BackupHead>

/** Files beside the store. The audit log is what others had done on this machine. */
export const BACKUP_FILES: readonly string[] = [
  'config.json',
  'keys/node.key',
  'keys/box.key',
  ...SECRET_FILES,
  'mcp/servers.json',
  'mcp/fingerprint.key',
  'audit.log',
  'audit.log.1',
  'audit.log.2',
  'audit.log.3',
  'audit.log.4',
]

type Source = { readonly data: DataDirectory; readonly mesh: string; readonly peer: PeerId; readonly store: LevelStore }

/**
 * Everything of a node that a backup has: its keys and settings, what others had it do, and all rows of the store as one
 * moment saw them. Not the voter's journal: promises that are older than the latest must never be acted on.
 * Not the sessions: they end with their machine.
 */
export function backupOf({ data, mesh, peer, store }: Source): AsyncIterable<BackupRecord> {
  const rows = store.rows()
  const createdAt = new Date().toISOString()
  const head: BackupHead = { v: 1, mesh, peer, rookeryVersion: rookeryVersion(), createdAt }
  return records(data, head, rows)
}

async function* records(
  data: DataDirectory,
  head: BackupHead,
  rows: ReturnType<LevelStore['rows']>,
): AsyncGenerator<BackupRecord> {
  yield { kind: 'head', name: new Uint8Array(), content: Buffer.from(JSON.stringify(head)) }
  for (const path of BACKUP_FILES) {
    const content = await readIfThere(join(data.path, path))
    if (content) yield { kind: 'file', name: Buffer.from(path), content }
  }
  for await (const { key, value } of rows) yield { kind: 'row', name: key, content: value }
}

import type { Duplex } from 'node:stream'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { encodeBackup } from '../adapters/backup-records.ts'
import { backupOf } from './backup-source.ts'

/**
 * Writes a backup to whoever asked on the control socket, as fast as it is taken. In the clear: the passphrase stays in
 * the process of the command, and whoever can open the socket can read the data directory.
 */
export async function serveBackup(source: Parameters<typeof backupOf>[0], socket: Duplex): Promise<void> {
  const bytes = encodeBackup(backupOf(source))
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rookery-backup\r\n\r\n')
  await pipeline(Readable.from(bytes), socket)
}

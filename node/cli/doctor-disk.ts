import { statfs } from 'node:fs/promises'
import { bad, type Finding, good, warn } from './finding.ts'

const MIB = 1024 * 1024
/** Below it the next snapshot of a large document, or the store's next compaction, may not fit. */
const FREE_BAD_BYTES = 256 * MIB
/** Days rather than hours before the former, for a busy mesh. */
const FREE_WARN_BYTES = 2048 * MIB

/** What `statfs` says about the data directory. */
export type DiskFacts = { readonly type: number; readonly freeBytes: number }

/** By the number with which Linux names a file system. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'SMB (CIFS)'],
  [0xfe534d42, 'SMB 2'],
  [0x517b, 'SMB'],
  [0x01021997, '9p'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x65735546, 'FUSE (sshfs and others)'],
])

export async function checkDisk(dataDir: string): Promise<Finding[]> {
  const facts = await statfs(dataDir).catch(() => undefined)
  return facts === undefined
    ? []
    : diskFindings({ type: process.platform === 'linux' ? facts.type : 0, freeBytes: facts.bavail * facts.bsize })
}

export function diskFindings({ type, freeBytes }: DiskFacts): Finding[] {
  const network = NETWORK_FILE_SYSTEMS.get(type)
  return [
    free(freeBytes),
    ...(network === undefined
      ? []
      : [
          bad(
            'file system',
            `the data directory lies on ${network}: it may lose what was written, and let two machines open it at once`,
            'Move it to a local disk: stop the node, copy the directory, start with --data-dir, delete the old one.',
          ),
        ]),
  ]
}

function free(bytes: number): Finding {
  const found = `${Math.floor(bytes / MIB)} MiB free for the data directory`
  const remedy =
    'Make room: the node refuses writes once the disk is full. `rookery metrics` shows what it takes itself.'
  if (bytes < FREE_BAD_BYTES) return bad('disk', found, remedy)
  return bytes < FREE_WARN_BYTES ? warn('disk', found, remedy) : good('disk', found)
}

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** Resident memory of a process, in MB. */
export function residentMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kb) / 1024
}

/** Open file descriptors of a process. */
export const descriptors = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length

/** Established TCP connections between two processes of this machine. */
export function connectionsBetween(one: number, other: number): number {
  const theirs = new Set(established(other))
  return established(one).filter(([local, remote]) => [...theirs].some(([l, r]) => l === remote && r === local)).length
}

function established(pid: number): [local: string, remote: string][] {
  const inodes = new Set<string>()
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1]
      if (inode !== undefined) inodes.add(inode)
    } catch {
      // Closed between the listing and the look.
    }
  }
  const rows = readFileSync(`/proc/${pid}/net/tcp`, 'utf8').trim().split('\n').slice(1)
  return rows.flatMap((row) => {
    const fields = row.trim().split(/\s+/)
    const [, local, remote, state] = fields
    const isOpen = state === '01' && inodes.has(fields[9] ?? '')
    return isOpen && local !== undefined && remote !== undefined ? [[local, remote]] : []
  })
}

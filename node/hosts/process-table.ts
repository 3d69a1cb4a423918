import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'

/** A process, told apart from a later one with the same number by its start. */
export type ProcessEntry = {
  readonly pid: number
  readonly parent: number
  readonly group: number
  /** 0 where the system does not tell. */
  readonly session: number
  readonly start: string
}

/** Every process that can still do something (zombies cannot). */
export function listProcesses(): ProcessEntry[] {
  return process.platform === 'linux' ? listProc() : listPs()
}

/** What tells this process from later ones with its number; undefined when there is none. */
export function startOf(pid: number): string | undefined {
  if (process.platform === 'linux') return readProc(pid)?.start
  return listPs().find((entry) => entry.pid === pid)?.start
}

export const isRunning = (pid: number, start: string): boolean => startOf(pid) === start

/** Everything that a session leader started and that lives: its session, its group, and their descendants. */
export function membersOf(leader: number, table: readonly ProcessEntry[] = listProcesses()): ProcessEntry[] {
  const members = new Map<number, ProcessEntry>()
  const isMember = (entry: ProcessEntry): boolean =>
    entry.pid === leader || entry.group === leader || entry.session === leader || members.has(entry.parent)
  for (let before = -1; before !== members.size;) {
    before = members.size
    for (const entry of table) if (isMember(entry)) members.set(entry.pid, entry)
  }
  return [...members.values()]
}

/** Sends a signal; a process that is gone by now is no failure. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

function listProc(): ProcessEntry[] {
  const entries: ProcessEntry[] = []
  for (const name of readdirSync('/proc')) {
    const entry = /^\d+$/.test(name) ? readProc(Number(name)) : undefined
    if (entry) entries.push(entry)
  }
  return entries
}

function readProc(pid: number): ProcessEntry | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined // ended between the listing and the read
  }
  // The second field is the program's name in parentheses and may itself contain anything.
  const [state, parent, group, session, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const start = rest[15]
  if (start === undefined || state === 'Z' || state === 'X') return undefined
  return { pid, parent: Number(parent), group: Number(group), session: Number(session), start }
}

function listPs(): ProcessEntry[] {
  const text = execFileSync('/bin/ps', ['-A', '-o', 'pid=,ppid=,pgid=,stat=,lstart='], { encoding: 'utf8' })
  return text.split('\n').flatMap((line) => {
    const [pid, parent, group, state, ...start] = line.trim().split(/\s+/)
    if (!pid || state === undefined || state.startsWith('Z')) return []
    return [{ pid: Number(pid), parent: Number(parent), group: Number(group), session: 0, start: start.join(' ') }]
  })
}

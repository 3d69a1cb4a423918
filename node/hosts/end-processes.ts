import { setTimeout as delay } from 'node:timers/promises'
import { isRunning, listProcesses, membersOf, signalProcess, type ProcessEntry } from './process-table.ts'

const POLL_MS = 40
/** After SIGKILL only the kernel can hold a process up (a stuck disk); nothing more can be done then. */
const KILLED_GONE_MS = 3000

/**
 * Ends a session leader and everything it started: a polite signal, then SIGKILL for what is left after `graceMs`. What is
 * found at the start is followed even when it leaves the session or loses its parent. Resolves to what could not be ended.
 */
export async function endProcesses(
  leader: number,
  graceMs: number,
  polite: 'SIGHUP' | 'SIGTERM' = 'SIGHUP',
): Promise<readonly ProcessEntry[]> {
  const known = new Map<number, ProcessEntry>()
  const look = (): ProcessEntry[] => {
    const table = listProcesses()
    for (const entry of membersOf(leader, table)) known.set(entry.pid, entry)
    return table.filter((entry) => known.get(entry.pid)?.start === entry.start)
  }
  for (const entry of look()) {
    signalProcess(entry.pid, polite)
    signalProcess(entry.pid, 'SIGCONT') // a stopped process would never see it
  }
  let left = await waitUntilGone(look, graceMs)
  const until = performance.now() + KILLED_GONE_MS
  while (left.length > 0 && performance.now() < until) {
    for (const entry of left) if (isRunning(entry.pid, entry.start)) signalProcess(entry.pid, 'SIGKILL')
    left = await waitUntilGone(look, POLL_MS * 2)
  }
  return left
}

async function waitUntilGone(look: () => ProcessEntry[], waitMs: number): Promise<ProcessEntry[]> {
  const until = performance.now() + waitMs
  for (;;) {
    const left = look()
    if (left.length === 0 || performance.now() >= until) return left
    await delay(POLL_MS)
  }
}

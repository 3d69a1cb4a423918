import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { endProcesses } from '../hosts/end-processes.ts'
import { isRunning, startOf } from '../hosts/process-table.ts'

/** A leftover is given less time than a server that is stopped: nobody waits for what it still wants to say. */
const GRACE_MS = 1000

const Running = z.record(z.string().regex(/^[0-9]{1,10}$/), z.string())

/** Which processes of servers live, in a file: a node that is killed cannot end them, its successor can. */
export type McpProcesses = {
  started(pid: number): void
  ended(pid: number): void
  /** Ends what an earlier process of the node has left. To be called before the first start. */
  sweep(): Promise<void>
}

export function createMcpProcesses(file: string): McpProcesses {
  const running = new Map<string, string>()
  const save = (): void => {
    try {
      if (running.size === 0) rmSync(file, { force: true })
      else writeFileSync(file, JSON.stringify(Object.fromEntries(running)), { mode: 0o600 })
    } catch {
      // A full disk: a leftover of a crash would then stay, which is no reason to run nothing.
    }
  }
  return {
    started(pid) {
      const start = startOf(pid)
      if (start === undefined) return
      running.set(String(pid), start)
      save()
    },
    ended(pid) {
      if (running.delete(String(pid))) save()
    },
    async sweep() {
      const left = Object.entries(readIfThere(file)).filter(([pid, start]) => isRunning(Number(pid), start))
      await Promise.all(left.map(([pid]) => endProcesses(Number(pid), GRACE_MS, 'SIGTERM')))
      save()
    },
  }
}

function readIfThere(file: string): Record<string, string> {
  try {
    return Running.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return {} // none, or cut off by a crash
  }
}

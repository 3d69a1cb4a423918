import { readdir, readFile } from 'node:fs/promises'

/**
 * Ends processes whose command line names this directory, which is ours alone: session hosts outlive their node on
 * purpose, and Ctrl-C may end a node before it was asked to end its sessions.
 */
export async function endLeftovers(directory: string): Promise<void> {
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)) {
    if (pid === process.pid || !(await commandLine(pid)).includes(directory)) continue
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
    }
  }
}

async function commandLine(pid: number): Promise<string> {
  try {
    return await readFile(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return '' // it has ended
  }
}

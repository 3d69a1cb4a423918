import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { eventually } from '../support/nodes.ts'

const LAB = resolve(import.meta.dirname, '../net/main.ts')

/** What takes seconds in the network laboratory, and how many tests that is; the rest is for `npm run test:net`. */
const SHORT = [
  ['two-hosts', 1],
  ['multicast', 3],
] as const

it.each(SHORT)(
  'runs hosts of their own on LANs of their own (%s), or says why this machine cannot',
  async (name, count) => {
    const { stdout } = await promisify(execFile)(process.execPath, [LAB, name], { encoding: 'utf8' })
    const last = stdout.trim().split('\n').at(-1) ?? ''
    expect(last).toMatch(new RegExp(`^${count} passed, 0 failed$|^skipped: .{10,}`))
    // Seen in the log of a continuous integration, where nobody asks.
    console.log(`network laboratory, ${name}: ${last}`)
  },
)

it.runIf(process.platform === 'linux')('leaves nothing behind when it is interrupted', async () => {
  const mark = `mark-${process.pid}-${Date.now()}`
  const env = { ...process.env, ROOKERY_LAB_MARK: mark }
  const lab = spawn(process.execPath, [LAB, 'two-hosts'], { stdio: 'ignore', env })
  const ended = once(lab, 'exit')
  const hasNodes = (): boolean => commandsMarked(mark).some((command) => command.includes('cli/main.ts up'))
  // Where it cannot be built it ends by itself.
  await eventually(() => (hasNodes() || lab.exitCode !== null ? true : undefined), 60_000)
  lab.kill('SIGINT')
  await ended
  await eventually(() => (commandsMarked(mark).length === 0 ? true : undefined))
  expect(readdirSync('/run')).not.toContain('lab')
})

/** The command lines of all processes that have this in their environment. */
function commandsMarked(mark: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((id) => {
      try {
        if (!readFileSync(`/proc/${id}/environ`, 'utf8').includes(mark)) return []
        return [readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ')]
      } catch {
        return [] // it has ended, or is somebody else's
      }
    })
}

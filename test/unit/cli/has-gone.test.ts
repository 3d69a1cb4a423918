import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, it } from 'vitest'
import { isProcessThere } from '../../../node/adapters/process-lock.ts'
import { hasGone } from '../../../node/cli/has-gone.ts'

it('waits for a process until it is gone, and sees that it is', async () => {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
  await once(child, 'spawn')
  let looks = 0
  const gone = hasGone(child.pid ?? 0, async (pid) => {
    const isThere = await isProcessThere(pid)
    if (++looks === 3) child.stdin.end()
    return isThere
  })
  expect(await gone).toBe(true)
  expect(looks).toBeGreaterThan(3)
})

it('sees a process end also while it looks', async () => {
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
  await once(child, 'spawn')
  const isThere = async (): Promise<boolean> => await isProcessThere(child.pid ?? 0)
  child.stdin.end()
  // So many looks at once that some open what the kernel tells of the process before its end, and read it after.
  while ((await Promise.all(Array.from({ length: 200 }, isThere))).some(Boolean));
  expect(await isThere()).toBe(false)
})

it('takes a process that has ended, and whose parent has not asked how, for gone', async () => {
  // The shell's child has ended when it says so; the program that the shell became never asks for it.
  const parent = spawn('sh', ['-c', 'true & echo $!; exec cat'], { stdio: ['pipe', 'pipe', 'ignore'] })
  const [line] = (await once(parent.stdout, 'data')) as [Buffer]
  expect(await hasGone(Number(line.toString()), isProcessThere)).toBe(true)
  parent.stdin.end()
  await once(parent, 'exit')
})

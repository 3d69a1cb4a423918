import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createScratch, eventually, joinMesh, rookery, seesOnline, type RunningNode } from '../support/nodes.ts'
import { IS_LONG } from '../support/long.ts'

/** One mesh that falls ill step by step: alpha is the only voter, the clock of beta is a minute and a half ahead. */
let scratch: Awaited<ReturnType<typeof createScratch>>
let a: RunningNode
let b: RunningNode

beforeAll(async () => {
  scratch = await createScratch()
  const skew = join(scratch.path, 'skew.mjs')
  await writeFile(skew, 'const now = Date.now\nDate.now = () => now() + 90_000\n')
  a = await scratch.start('alpha')
  b = await joinMesh(scratch, a, 'beta', { env: { NODE_OPTIONS: `--import=${skew}` } })
  await Promise.all([seesOnline(a, [b.peerId]), seesOnline(b, [a.peerId])])
})

afterAll(() => scratch.dispose())

type Finding = { check: string; state: string; found: string; remedy: string | null }

async function examine(node: RunningNode): Promise<{ code: number; of: (check: string) => Finding | undefined }> {
  const { code, json } = await node.cli('doctor')
  return { code, of: (check) => json.findings.find((finding: Finding) => finding.check === check) }
}

it('notices that the clocks of two machines differ, on both of them', async () => {
  expect((await examine(a)).of('clocks')).toMatchObject({ state: 'warning', found: 'beta is 1 minute ahead' })
  expect((await examine(b)).of('clocks')).toMatchObject({ state: 'warning', found: 'alpha is 1 minute behind' })
})

it('names the voter that is missing, since when, and what it means, and ends with 1', async () => {
  await a.stop('SIGKILL')
  const { code, of } = await eventually(async () => {
    const seen = await examine(b)
    return seen.of('quorum')?.state === 'problem' ? seen : undefined
  }, 60_000)
  expect(code).toBe(1)
  expect(of('quorum')?.found).toMatch(/^1 voters must agree to a claim, 0 can be reached; missing: alpha \(last heard /)
  expect(of('member alpha')?.state).toBe('warning')
  expect(of('member alpha')?.found).toMatch(/^it does not answer any more: .*; last heard \d+ \w+ ago, at 2/)
})

it('says of a node that runs and does not answer that it is blocked', async () => {
  b.process.kill('SIGSTOP')
  try {
    const { code, of } = await examine(b)
    expect([code, of('node')]).toMatchObject([1, { state: 'problem' }])
    expect(of('node')?.found).toContain('has not answered')
  } finally {
    b.process.kill('SIGCONT')
  }
})

it.runIf(IS_LONG)('tells a machine that was removed while it was connected', async () => {
  const again = await scratch.start('alpha', { dataDir: a.dataDir })
  await seesOnline(again, [b.peerId])
  expect((await again.cli('remove', 'beta')).code).toBe(0)
  const { code, of } = await eventually(async () => {
    const seen = await examine(b)
    return seen.of('membership')?.state === 'problem' ? seen : undefined
  }, 60_000)
  expect([code, of('membership')?.remedy]).toEqual([1, expect.stringContaining('rookery leave')])
})

it('warns of a disk that is nearly full, on one that is', async ({ skip }) => {
  const small = join(scratch.path, 'small')
  await mkdir(small, { mode: 0o700 })
  const run = promisify(execFile)
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=700', 'rookery-test', small]).then(
    () => true,
    () => false,
  )
  if (!mounted) skip('mounting a small file system needs rights that this user does not have')
  try {
    const { code, json } = await rookery(['doctor', '--json', '--data-dir', small])
    const disk = json.findings.find(({ check }: Finding) => check === 'disk')
    expect([code, disk]).toMatchObject([1, { state: 'problem', found: '4 MiB free for the data directory' }])
  } finally {
    await run('umount', [small])
  }
})

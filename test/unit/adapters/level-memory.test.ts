import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rookery-memory-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const READS = 400

/** Reads a megabyte each time, and answers with how many the process has grown by. */
const READING = `
  import { openLevelStore } from '${new URL('../../../node/adapters/level-store.ts', import.meta.url).href}'
  const [doc, author, MB] = ['mesh', 'author', 1024 * 1024]
  const store = await openLevelStore(process.argv[1])
  const bytes = new Uint8Array(MB / 256)
  await store.append(Array.from({ length: 256 }, (_, i) => ({ doc, author, seq: i + 1, bytes })))
  const before = process.memoryUsage.rss()
  for (let i = 0; i < ${READS}; i++) for await (const _ of store.read(doc, author, 1)) break
  console.log((process.memoryUsage.rss() - before) / MB)
  await store.close()
`

it('[storage] what has been read leaves memory, also what V8 does not see', async () => {
  // As scripts/rookery starts a node. In this process V8 has so much to collect that nothing stays for long.
  const argv = ['--max-semi-space-size=2', '--input-type=module', '--eval', READING, dir]
  const { stdout } = await promisify(execFile)(process.execPath, argv)
  expect(Number(stdout)).toBeLessThan(READS / 4)
})

import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { readJson, writeJson } from '../../../node/hosts/private-json.ts'

it('keeps what was there when there is room for a part of the new only', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rookery-private-json-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const path = join(folder, 'state.json')
  writeJson(path, { is: 'old' })
  const module = new URL('../../../node/hosts/private-json.ts', import.meta.url).href
  const write = `(await import('${module}')).writeJson('${path}', { is: 'x'.repeat(100_000) })`
  // A file may have eight blocks there.
  const limited = `ulimit -f 8; exec "$0" --input-type=module -e "$1"`
  await expect(promisify(execFile)('/bin/sh', ['-c', limited, process.execPath, write])).rejects.toThrow('EFBIG')
  expect(readJson(path)).toEqual({ is: 'old' })
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createScratch, eventually, rookery, type RunningNode } from '../support/nodes.ts'

const PROGRAM = resolve(import.meta.dirname, '../../scripts/rookery')

let scratch: Awaited<ReturnType<typeof createScratch>>
let node: RunningNode
beforeAll(async () => {
  scratch = await createScratch()
  node = await scratch.start('alpha')
})
afterAll(() => scratch.dispose())

/** Runs a line of the shell, in which `$rookery` is the program, and returns all that it said on standard error. */
async function shell(line: string): Promise<string> {
  const env = { ...process.env, rookery: PROGRAM, data: node.dataDir }
  const child = spawn('/bin/sh', ['-c', line], { cwd: scratch.path, env, stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  await once(child, 'close')
  return said
}

/** What the program says and ends with when the reader of its output is gone before it writes. */
function unread(command: string): Promise<string> {
  const line = `{ read _ <gate; ${command}; echo "ended with $?" >&2; } | { exec <&-; echo >gate; }`
  return shell(`rm -f gate; mkfifo gate; ${line}`)
}

it('ends without a word when nobody reads its output any more', async () => {
  expect(await unread('"$rookery" status --data-dir "$data"')).toBe('ended with 141\n')
  expect(await unread('"$rookery" --help')).toBe('ended with 141\n')
})

it('keeps the exit code of a command that failed, and its message where that can be read', async () => {
  const command = '"$rookery" status --json --data-dir "$data.none"'
  expect(await unread(command)).toMatch(/^rookery: No node is running on .*\nended with 3\n$/)
  expect(await unread(`${command} 2>&1`)).toBe('ended with 3\n')
})

it('says why its output is lost when that is the fault of the disk', async () => {
  const said = await shell('"$rookery" status --data-dir "$data" >/dev/full; echo "ended with $?" >&2')
  expect(said).toBe('rookery: the output cannot be written: ENOSPC: no space left on device, write\nended with 1\n')
})

it('ends a command that goes on for long with its reader, and nothing else', async () => {
  const { json: session } = await node.cli('session', 'start', '--agent', 'shell')
  const attached = spawn(PROGRAM, ['session', 'attach', session.id, '--data-dir', node.dataDir], { stdio: 'pipe' })
  attached.stdin.write('while :; do echo tick; sleep 0.1; done\n')
  await once(attached.stdout, 'data')
  const ended = shell(
    `{ "$rookery" session attach ${session.id} --data-dir "$data"; echo "ended with $?" >&2; } | head -n 1`,
  )
  expect(await ended).toBe('ended with 141\n')
  attached.kill()
  expect((await node.cli('session', 'list')).json).toMatchObject([{ id: session.id, status: 'running' }])
})

it('lets a node go on, which is there for others than who reads its greeting', async () => {
  const data = join(scratch.path, 'unread')
  const up = `"$rookery" up --json --data-dir ${data} --log-level debug --no-gateway --no-mdns --p2p /ip4/127.0.0.1/tcp/0 2>&1`
  const ended = unread(up)
  const status = await eventually(async () => (await rookery(['status', '--json', '--data-dir', data])).json?.mesh_id)
  expect(status).toMatch(/^[0-9a-f]{64}$/)
  expect((await rookery(['down', '--data-dir', data])).code).toBe(0)
  expect(await ended).toBe('ended with 0\n')
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createScratch, rookery, type Json, type RunningNode } from '../support/nodes.ts'
import { rookeryInTerminal, type TypedAt } from '../support/terminal.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
let desk: RunningNode
let fingerprint: string
beforeAll(async () => {
  scratch = await createScratch()
  const args = ['--http', '0.0.0.0:0', '--tls', 'auto', '--p2p', '/ip4/127.0.0.1/tcp/0']
  desk = await scratch.start('desk', { args })
  fingerprint = (await desk.cli('status')).json.certificate.fingerprint
})
afterAll(() => scratch.dispose())

/** `rookery pair`, until it waits, and what comes of it. */
async function startPair(name: string, ...args: string[]) {
  const dataDir = join(scratch.path, name)
  const child = spawn(
    resolve(import.meta.dirname, '../../scripts/rookery'),
    ['pair', desk.http, '--name', name, '--json', '--data-dir', dataDir, ...args],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  )
  const lines: Json[] = []
  const first = Promise.withResolvers<void>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(JSON.parse(line))
    first.resolve()
  })
  const ended = once(child, 'close').then(([code]) => ({ code, last: lines.at(-1) }))
  await Promise.race([first.promise, ended])
  return { child, waiting: lines[0], ended, dataDir }
}

it('joins a mesh over TLS whose certificate has the fingerprint that status shows', async () => {
  const { waiting, ended, dataDir } = await startPair('laptop', '--yes', '--fingerprint', fingerprint.toLowerCase())
  expect(waiting).toMatchObject({ status: 'pending', tls_fingerprint: fingerprint })
  const listed = (await desk.cli('pairing')).json
  expect(listed.pairings).toMatchObject([{ code: waiting.code, kind: 'node', name: 'laptop', words: waiting.words }])
  const mute = await desk.cli('pairing', 'complete', waiting.code)
  expect([mute.code, mute.stderr]).toEqual([2, expect.stringContaining('Nobody is here to compare')])
  const done = await desk.cli('pairing', 'complete', waiting.code, '--words', waiting.words)
  expect([done.code, done.json.machine.status]).toEqual([0, 'connecting'])
  const { code, last } = await ended
  expect([code, last]).toMatchObject([0, { status: 'completed', name: 'laptop', mesh_id: desk.meshId, running: false }])
  const laptop = await scratch.start('laptop', { dataDir })
  expect((await laptop.cli('members')).json.map(({ name }: Json) => name)).toEqual(['desk', 'laptop'])
  const key = await stat(join(desk.dataDir, 'keys/gateway-tls.pem'))
  expect(key.mode & 0o777).toBe(0o600)
})

/** Both ends of a pairing as two people have them before them, up to the question at the gateway. */
async function sitBefore(name: string) {
  const machine = rookeryInTerminal(['pair', desk.http, '--name', name, '--data-dir', join(scratch.path, name)])
  const [, code = '', words = ''] = /code +(\S+)[^]*?words +([a-z ]+)/.exec(await machine.until('gives up.')) ?? []
  const gateway = rookeryInTerminal(['pairing', 'complete', code, '--data-dir', desk.dataDir])
  expect(await gateway.until(QUESTION)).toContain(words)
  return { machine, gateway, code, words }
}
const QUESTION = 'Type yes or no: '
const CTRL_C = '\u0003'

const answered = async (terminal: TypedAt, text: string): Promise<{ code: number; shown: string }> => {
  terminal.type(text)
  return await terminal.ended
}

it('asks the people at both ends whether the words are the same, and takes only yes for yes', async () => {
  const { machine, gateway, words } = await sitBefore('typed')
  const done = await answered(gateway, 'y\r yes\r')
  expect([done.code, done.shown]).toEqual([0, expect.stringContaining('typed may join')])
  expect(await machine.until(QUESTION)).toContain(`the same words (${words})?`)
  const joined = await answered(machine, 'yse\rYES\r')
  expect([joined.code, joined.shown]).toEqual([0, expect.stringContaining('This machine is now the member typed')])
})

it('leaves everything as it was when either of them does not say yes', async () => {
  const { machine, gateway, code } = await sitBefore('stays')
  const refused = await answered(gateway, 'no\r')
  expect([refused.code, refused.shown]).toEqual([
    1,
    expect.stringContaining(`stays still waits. If the words are different, somebody sits in between`),
  ])
  const again = rookeryInTerminal(['pairing', 'complete', code, '--data-dir', desk.dataDir])
  await again.until(QUESTION)
  expect((await answered(again, 'yes\r')).code).toBe(0)
  await machine.until(QUESTION)
  const gone = await answered(machine, CTRL_C)
  expect([gone.code, gone.shown]).toEqual([1, expect.stringContaining('Cancelled; nothing was changed.')])
  expect((await desk.cli('members')).json.map((member: Json) => member.name)).not.toContain('stays')
})

it('says what to do where nobody can compare the words', async () => {
  const args = ['pair', desk.http, '--json', '--data-dir', join(scratch.path, 'piped')]
  const refused = await rookery(args, { input: 'yes\n' })
  expect([refused.code, refused.json.error.message]).toEqual([
    2,
    expect.stringContaining('or add --yes and the --fingerprint'),
  ])
})

it('gives up on Ctrl-C, and the gateway forgets it at once', async () => {
  const { child, waiting, ended } = await startPair('phone', '--yes')
  child.kill('SIGINT')
  expect(await ended).toMatchObject({ code: 1, last: { error: { code: 'cancelled' } } })
  expect((await desk.cli('pairing')).json.pairings).toEqual([])
  const late = await desk.cli('pairing', 'complete', waiting.code, '--words', waiting.words)
  expect(late.json.error.code).toBe('pairing_refused')
})

it('says so when it is refused', async () => {
  const { waiting, ended } = await startPair('tablet', '--yes')
  expect((await desk.cli('pairing', 'refuse', waiting.code)).code).toBe(0)
  expect(await ended).toMatchObject({ code: 1, last: { error: { code: 'PAR_005' } } })
})

it.each([
  ['another certificate', () => [desk.http, '--fingerprint', 'ab'.repeat(32)], 1, 'wrong_certificate'],
  ['no fingerprint at all', () => [desk.http, '--fingerprint', '17'], 2, 'refused'],
  ['a network in the clear', () => ['http://192.0.2.1:8000'], 2, 'refused'],
  ['nobody there', () => ['https://127.0.0.1:1'], 1, 'gateway_unreachable'],
])('refuses %s before anything is said', async (_, args, code, reason) => {
  const dataDir = join(scratch.path, 'nobody')
  const refused = await rookery(['pair', ...args(), '--yes', '--json', '--data-dir', dataDir])
  expect([refused.code, refused.json.error.code]).toEqual([code, reason])
})

it('leaves no secret of the pairing in a file or a log', async () => {
  const { ended, waiting } = await startPair('watch', '--yes')
  await desk.cli('pairing', 'complete', waiting.code, '--words', waiting.words)
  await ended
  const log = `${desk.stderr}${await readFile(join(desk.dataDir, 'audit.log'), 'utf8')}`
  expect(log).toContain('pairing.complete')
  expect(log).not.toMatch(/pair_[0-9a-f]{64}|rook1/)
})

import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { createScratch, rookery, type RunningNode } from '../support/nodes.ts'
import { rookeryInTerminal } from '../support/terminal.ts'

let scratch: Awaited<ReturnType<typeof createScratch>>
let node: RunningNode
let session: string

beforeAll(async () => {
  scratch = await createScratch()
  node = await scratch.start('alpha')
  session = (await node.cli('session', 'start', '--agent', 'shell')).json.id
})
afterAll(() => scratch.dispose())
afterEach(() => void node.process.kill('SIGCONT'))

const of = (...args: string[]): string[] => [...args, '--data-dir', node.dataDir]

it('does not keep who looks, or says Ctrl-C, and tells both that it does not answer', async () => {
  node.process.kill('SIGSTOP')
  const waiting = rookeryInTerminal(of('invite'))
  const { code, stderr, json } = await rookery(of('status', '--json'))
  expect([code, json.error.code, stderr]).toEqual([1, 'node_silent', expect.stringContaining('does not answer')])
  await waiting.until('Still waiting')
  waiting.type('\u0003')
  expect((await waiting.ended).shown).toContain('does not answer')
})

it('lets go of a terminal that was attached to a session', async () => {
  const attached = rookeryInTerminal(of('session', 'attach', session))
  attached.type('echo one-$((1 + 1))\r')
  await attached.until('one-2')
  node.process.kill('SIGSTOP')
  attached.type('\u001d')
  expect(await attached.ended).toMatchObject({ code: 0, shown: expect.stringContaining('[detached') })
})

import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest'
import { callNode } from '../../../node/cli/control-client.ts'
import { patiently } from '../../../node/cli/patience.ts'

/** Only a node that answers nothing at all is waited for as long as `answerMs`. */
const patience = (answerMs: number) => ({ askAfterMs: 1, answerMs })

let path: string
let said: string[]
let saidSomething: PromiseWithResolvers<void>

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rookery-patience-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  path = join(folder, 'control.sock')
  said = []
  saidSomething = Promise.withResolvers()
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    saidSomething.resolve()
    return said.push(String(text)) > 0
  })
  onTestFinished(() => spy.mockRestore())
})

/** A node of which every answer is up to the test. */
async function serve(answer: (method: string, response: ServerResponse) => void): Promise<void> {
  const server = createServer((request, response) => {
    request.resume()
    answer((request.url ?? '').slice(1), response)
  }).listen(path)
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
  })
  await once(server, 'listening')
}

const OK = JSON.stringify({ ok: true, value: null })

const asked = (method: 'mesh.status' | 'task.add', more: Parameters<typeof patiently>[2]): Promise<unknown> =>
  patiently(path, (signal) => callNode(path, method, {}, signal), more)

it('gives up what only looks at a node that answers nothing, and says what to look at', async () => {
  await serve(() => undefined)
  await expect(asked('mesh.status', { givesUp: true, patience: patience(20) })).rejects.toMatchObject({
    name: 'CommandFailure',
    code: 'node_silent',
    exitCode: 1,
    message: expect.stringMatching(/does not answer.*`top`.*end the process/),
  })
  expect(said).toEqual([])
})

it('says once that the node answers nothing, and waits on for what it may have begun', async () => {
  const begun = Promise.withResolvers<ServerResponse>()
  await serve((method, response) => {
    if (method === 'task.add') begun.resolve(response)
  })
  const answer = asked('task.add', { givesUp: false, patience: patience(20) })
  const response = await begun.promise
  await saidSomething.promise
  response.end(OK)
  expect(await answer).toEqual({ ok: true, value: null })
  expect(said).toEqual([expect.stringMatching(/^rookery: The node runs, but does not answer.*Ctrl-C gives up.*\n$/)])
})

it('says nothing while the node takes its time and answers others', async () => {
  let held: ServerResponse | undefined
  let looks = 0
  await serve((method, response) => {
    if (method === 'task.add') held = response
    else response.end(OK)
    if (method === 'voters.view' && ++looks === 3) held?.end(OK)
  })
  expect(await asked('task.add', { givesUp: false, patience: patience(60_000) })).toEqual({ ok: true, value: null })
  expect(said).toEqual([])
})

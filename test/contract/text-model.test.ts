import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAgentTextModel } from '../../node/adapters/agent-text-model.ts'
import { createHttpTextModel } from '../../node/adapters/http-text-model.ts'
import { ModelError } from '../../node/ports/model-error.ts'
import type { TextModel } from '../../node/ports/text-model.ts'
import { startModelServer, type ModelServer } from '../support/model-server.ts'

let server: ModelServer
let folder: string
beforeAll(async () => {
  server = await startModelServer()
  folder = await mkdtemp(join(tmpdir(), 'rk-model-'))
})
afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true })
})
beforeEach(() => {
  server.fault = undefined
  server.asked.length = 0
})

const never = new AbortController().signal
const PROMPT = { instruction: 'Summarise.', material: '# Decision\nJWT it is', outputTokensMax: 100 }

/** A program that does what claude does in print mode: notes how it was called, answers with what the file says. */
async function claudeThat(does: string): Promise<string> {
  const file = join(folder, `claude-${Math.random().toString(36).slice(2)}`)
  const note = `printf '%s\\n' "$@" > ${folder}/argv; pwd > ${folder}/cwd; env > ${folder}/env; cat > ${folder}/stdin`
  await writeFile(file, `#!/bin/sh\n${note}\n${does}\n`)
  await chmod(file, 0o700)
  return file
}
const said = (name: string): Promise<string> => readFile(join(folder, name), 'utf8')
const agent = async (does: string): Promise<TextModel> =>
  createAgentTextModel(await claudeThat(does), { PATH: process.env.PATH, HOME: folder, SECRET_TOKEN: 'hidden' })

const ANSWER = JSON.stringify({
  type: 'result',
  is_error: false,
  result: 'The team chose JWT.',
  usage: { input_tokens: 300, cache_read_input_tokens: 1, output_tokens: 20, service_tier: 'x' },
})

describe.each([
  ['openai', async () => createHttpTextModel({ api: 'openai', url: server.url, model: 'm' })],
  ['anthropic', async () => createHttpTextModel({ api: 'anthropic', url: server.url, model: 'm' })],
  ['agent CLI', () => agent(`echo '${ANSWER}'`)],
] as const)('a text model (%s)', (_, create) => {
  it('answers, with the tokens that it says it took', async () => {
    expect(await (await create()).complete(PROMPT, never)).toEqual({ text: 'The team chose JWT.', tokens: 321 })
  })

  it('does nothing once it is told to stop', async () => {
    await expect((await create()).complete(PROMPT, AbortSignal.abort(new Error('enough')))).rejects.toThrow()
  })
})

it.each(['openai', 'anthropic'] as const)('keeps instruction and material apart (%s)', async (api) => {
  const keyFile = join(folder, 'key')
  await writeFile(keyFile, 'sk-1', { mode: 0o600 })
  await createHttpTextModel({ api, url: server.url, model: 'm', keyFile }).complete(PROMPT, never)
  const { headers, body } = server.asked[0]!
  const users = body.messages.filter(({ role }) => role === 'user')
  expect(users).toEqual([{ role: 'user', content: PROMPT.material }])
  expect(api === 'openai' ? body.messages[0]?.content : body.system).toBe(PROMPT.instruction)
  expect(api === 'openai' ? headers['authorization'] : headers['x-api-key']).toContain('sk-1')
  expect(headers['anthropic-version']).toBe(api === 'anthropic' ? '2023-06-01' : undefined)
})

it.each([
  ['openai', '{"choices":[{"message":{"content":null}}]}'],
  ['anthropic', '{"content":[]}'],
] as const)('takes no empty answer (%s)', async (api, body) => {
  server.fault = () => ({ status: 200, body })
  await expect(createHttpTextModel({ api, url: server.url, model: 'm' }).complete(PROMPT, never)).rejects.toThrow(
    'answered nothing',
  )
})

describe('the agent CLI', () => {
  it('has no tools, an empty folder, the prompt on its input, and nothing of our environment', async () => {
    const model = await agent(`ls -a > ${folder}/listing; echo '${ANSWER}'`)
    await model.complete(PROMPT, never)
    const argv = (await said('argv')).split('\n')
    expect(argv[argv.indexOf('--tools') + 1]).toBe('')
    expect(argv).toEqual(expect.arrayContaining(['-p', '--strict-mcp-config', '--no-session-persistence']))
    expect(await said('stdin')).toBe(PROMPT.material)
    expect((await said('listing')).trim().split('\n')).toEqual(['.', '..'])
    expect(await said('env')).not.toContain('hidden')
    await expect(readFile((await said('cwd')).trim())).rejects.toThrow('ENOENT')
  })

  it.each([
    ['fails', 'exit 3'],
    ['says nothing', 'exit 0'],
    ['says nonsense', 'echo {not json'],
    ['says that it failed', `echo '{"is_error":true,"result":"Please run /login"}'; exit 1`],
  ])('is a failure that a person can act on when it %s', async (_, does) => {
    const failed = await (await agent(does)).complete(PROMPT, never).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(ModelError)
    expect(String(failed)).toContain('agent CLI claude')
  })

  it('is ended when told to', async () => {
    const ending = new AbortController()
    const model = await agent(`touch ${folder}/started; exec sleep 60`)
    const asking = model.complete(PROMPT, ending.signal)
    ending.abort(new Error('enough'))
    await expect(asking).rejects.toThrow()
  })
})

import { expect } from 'vitest'
import { openSocket, type Json } from '../../support/gateway-lab.ts'
import { call, data, example, folder, meets, refusal, refuses, self, theLab, UNKNOWN } from './harness.ts'

const sessionsOf = (machine: string): string => `/api/machines/${machine}/sessions`

export const newSession = (more: object = {}): Promise<Json> =>
  data('POST', sessionsOf(self()), { body: { agent: 'shell', ...more } })

/** Waits until the terminal has shown a text; the socket tells. */
async function shown(session: { id: string }, text: string): Promise<void> {
  const socket = await openSocket(theLab().url)
  socket.subscribe(`private-session.${session.id}`, { token: theLab().token }, { spelling: 'colon' })
  const seen = () =>
    socket.frames.flatMap((frame) => (frame.event === 'session:output' ? [frame.data.data] : [])).join('')
  await socket.seen(() => seen().includes(text))
  socket.close()
}

/** Ends a session and waits until that is told. */
async function end(session: { id: string }): Promise<void> {
  const socket = await openSocket(theLab().url)
  socket.subscribe(`private-session.${session.id}`, { token: theLab().token })
  await socket.event('pusher_internal:subscription_succeeded')
  expect(await data('DELETE', `/api/sessions/${session.id}`)).toBe(null)
  await socket.event('session:terminated')
  socket.close()
}

const one = async () => ({ params: { id: (await newSession()).id } })
async function ended(): Promise<{ params: { id: string } }> {
  const session = await newSession()
  await end(session)
  return { params: { id: session.id } }
}
/** A session is a process: where what becomes of it does not matter, one serves all. */
const some = once(one)
const over = once(ended)
const unknown = () => ({ params: { id: UNKNOWN } })
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => (made ??= make())
}

const type = (id: string, text: string) => data('POST', `/api/sessions/${id}/input`, { body: { data: text } })
const talkative = once(async () => {
  const session = await newSession()
  await type(session.id, 'echo logged-$((40+2))\n')
  await shown(session, 'logged-42')
  return session
})

const ofMachine = () => ({ params: { machine: self() } })
const elsewhere = () => ({ params: { machine: UNKNOWN } })

export function sessionRequirements(): void {
  listRequirements()
  createRequirements()
  const get = 'GET /api/sessions/:id'
  example(get, some)
  refuses(get, 'SES_001', () => ({ params: { id: 'x' } }))
  const remove = 'DELETE /api/sessions/:id'
  example(remove, one)
  refuses(remove, 'SES_001', unknown)
  refuses(remove, 'SES_002', over)
  meets(remove, 'ends the session', async () => {
    const { id } = await newSession()
    await end({ id })
    expect((await data('GET', `/api/sessions/${id}`)).status).toBe('terminated')
  })
  eraseRequirements()
  const attach = 'POST /api/sessions/:id/attach'
  example(attach, some)
  refuses(attach, 'SES_001', unknown)
  refuses(attach, 'SES_002', over)
  terminalRequirements()
}

function eraseRequirements(): void {
  const erase = 'DELETE /api/sessions/:id/logs'
  example(erase, ended)
  refuses(erase, 'SES_001', unknown)
  meets(erase, 'leaves nothing of a session that has ended', async () => {
    const { id } = (await ended()).params
    expect(await data('DELETE', `/api/sessions/${id}/logs`)).toBe(null)
    expect(await refusal('GET', `/api/sessions/${id}`)).toEqual([404, 'SES_001'])
    expect(await refusal('GET', `/api/sessions/${id}/logs`)).toEqual([404, 'SES_001'])
  })
  meets(erase, 'leaves a session that runs alone', async () => {
    const { id } = (await some()).params
    expect(await refusal('DELETE', `/api/sessions/${id}/logs`)).toEqual([409, 'SES_005'])
    expect((await data('GET', `/api/sessions/${id}`)).ended_at).toBe(null)
  })
}

function listRequirements(): void {
  const list = 'GET /api/machines/:machine/sessions'
  example(list, async () => {
    await some()
    return ofMachine()
  })
  refuses(list, 'MCH_001', elsewhere)
  meets(list, 'pages, 20 at a time', async () => {
    const { id } = (await some()).params
    const { json } = await call('GET', sessionsOf(self()))
    expect(json.data.map((session: Json) => session.id)).toContain(id)
    expect(json.meta.pagination.per_page).toBe(20)
  })
  meets(list, 'filters by status', async () => {
    const [gone, open] = [(await over()).params, (await some()).params]
    const ids = (await data('GET', `${sessionsOf(self())}?status=terminated&per_page=100`)).map((s: Json) => s.id)
    expect([ids.includes(gone.id), ids.includes(open.id)]).toEqual([true, false])
  })
}

function createRequirements(): void {
  const create = 'POST /api/machines/:machine/sessions'
  example(
    create,
    async () => ({ ...ofMachine(), body: { project_path: await folder() } }),
    ({ session }) =>
      expect([session.agent, session.mode, session.machine_id]).toEqual(['claude', 'interactive', self()]),
  )
  refuses(create, 'MCH_001', elsewhere)
  refuses(create, 'MCH_002', async () => {
    const { machine } = await data('POST', '/api/machines', { body: { name: 'away' } })
    return { params: { machine: machine.id } }
  })
  modeRequirements(create)
  meets(create, 'takes the size of the terminal', async () => {
    const { session } = await newSession({ pty_size: { cols: 100, rows: 30 } })
    expect(session.pty_size).toEqual({ cols: 100, rows: 30 })
    expect((await data('GET', `/api/sessions/${(await talkative()).id}`)).pty_size).toEqual({ cols: 120, rows: 40 })
  })
  meets(create, 'refuses sizes outside 20..500 by 10..200', async () => {
    for (const pty_size of [
      { cols: 19, rows: 40 },
      { cols: 501, rows: 40 },
      { cols: 80, rows: 9 },
      { cols: 80, rows: 201 },
    ]) {
      expect(await refusal('POST', sessionsOf(self()), { body: { pty_size } })).toEqual([422, 'VAL_001'])
    }
  })
}

/** Asks until the session is as it should be. */
async function until(id: string, isSo: (session: Json) => boolean): Promise<Json> {
  const session = await data('GET', `/api/sessions/${id}`)
  return isSo(session) ? session : await until(id, isSo)
}

function modeRequirements(create: string): void {
  const agent = { agent: 'claude', initial_prompt: 'Refactor the auth module' }
  const ended = (session: Json): boolean => session.ended_at !== null
  meets(create, 'runs an agent oneshot: it ends when it has answered', async () => {
    const { id } = await newSession({ ...agent, mode: 'oneshot' })
    expect(await until(id, ended)).toMatchObject({ mode: 'oneshot', status: 'completed', exit_code: 0 })
    const output = await data('GET', `/api/sessions/${id}/logs?type=output`)
    expect(output.map((entry: Json) => [entry.data.startsWith(agent.initial_prompt), entry.metadata])).toEqual([
      [true, {}],
      [false, { record: 'result' }],
    ])
  })
  meets(create, 'runs an agent headless: it waits for the next input', async () => {
    const { id } = await newSession({ ...agent, mode: 'headless' })
    const isWaiting = ({ status }: Json): boolean => status === 'waiting_input'
    await until(id, isWaiting)
    await type(id, 'and the tests\n')
    await shown({ id }, 'and the tests')
    await until(id, isWaiting)
    await end({ id })
  })
  meets(create, 'tells the tokens and the cost that the agent says it has used', async () => {
    const { id } = await newSession({ ...agent, mode: 'oneshot' })
    const { total_tokens: tokens, total_cost: cost } = await until(id, ended)
    const { total_tokens: shellTokens, total_cost: shellCost } = await data(
      'GET',
      `/api/sessions/${(await some()).params.id}`,
    )
    expect([tokens, cost, shellTokens, shellCost]).toEqual([15000, 0.45, null, null])
  })
}

function terminalRequirements(): void {
  const logs = 'GET /api/sessions/:id/logs'
  const input = 'POST /api/sessions/:id/input'
  const resize = 'POST /api/sessions/:id/resize'
  example(logs, async () => ({ params: { id: (await talkative()).id } }))
  refuses(logs, 'SES_001', unknown)
  meets(logs, 'answers entries by type and limit', async () => {
    const { id } = await talkative()
    const output = await data('GET', `/api/sessions/${id}/logs?type=output`)
    expect(output.map((entry: Json) => entry.data).join('')).toContain('logged-42')
    expect(new Set(output.map((entry: Json) => entry.type))).toEqual(new Set(['output']))
    expect(await data('GET', `/api/sessions/${id}/logs?limit=1`)).toHaveLength(1)
  })
  example(input, some)
  refuses(input, 'SES_001', unknown)
  refuses(input, 'SES_002', over)
  meets(input, 'types into the terminal', async () => {
    const session = await newSession()
    await type(session.id, 'echo n$((1+1))n\n')
    await shown(session, 'n2n')
  })
  example(resize, some)
  refuses(resize, 'SES_001', unknown)
  refuses(resize, 'SES_002', over)
  meets(resize, 'resizes the terminal', async () => {
    const session = await newSession()
    await data('POST', `/api/sessions/${session.id}/resize`, { body: { cols: 160, rows: 50 } })
    await type(session.id, 'stty size\n')
    await shown(session, '50 160')
  })
  meets(resize, 'refuses sizes that make no sense', async () => {
    const body = { cols: 0, rows: 50 }
    expect(await refusal('POST', `/api/sessions/${(await some()).params.id}/resize`, { body })).toEqual([
      422,
      'VAL_001',
    ])
  })
}

import { expect } from 'vitest'
import { call, data, fresh, meets, refusal, self, theLab, UNKNOWN } from './harness.ts'
import { openSocket, type Json } from '../../support/gateway-lab.ts'

const sessionsOf = (machine: string): string => `/api/machines/${machine}/sessions`

const newSession = (more: object = {}) => data('POST', sessionsOf(self()), { body: { agent: 'shell', ...more } })

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

export function sessionRequirements(): void {
  const create = 'POST /api/machines/:machine/sessions'
  meets(create, 'answers 201 with the session and a ws_ ticket', async () => {
    const body = { mode: 'interactive', agent: 'shell', project_path: '/tmp', pty_size: { cols: 100, rows: 30 } }
    const made = await data('POST', sessionsOf(self()), { body })
    const facts = { machine_id: self(), mode: 'interactive', agent: 'shell', project_path: '/tmp' }
    expect(made).toMatchObject({
      ...facts,
      session: { ...facts, pty_size: { cols: 100, rows: 30 } },
      websocket_token: expect.stringMatching(/^ws_/),
    })
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
  meets(create, 'answers 400 MCH_002 for a machine that is offline', async () => {
    const { machine } = await data('POST', '/api/machines', { body: { name: fresh('away') } })
    expect(await refusal('POST', sessionsOf(machine.id), { body: {} })).toEqual([400, 'MCH_002'])
    expect(await refusal('POST', sessionsOf(UNKNOWN), { body: {} })).toEqual([404, 'MCH_001'])
  })
  meets('GET /api/machines/:machine/sessions', 'lists the sessions of a machine', async () => {
    const { id } = await newSession()
    const { json } = await call('GET', sessionsOf(self()))
    expect(json.data.map((session: Json) => session.id)).toContain(id)
    expect(json.meta.pagination.per_page).toBe(20)
  })
  meets('GET /api/machines/:machine/sessions', 'filters by status', async () => {
    const ended = await newSession()
    const open = await newSession()
    await end(ended)
    const ids = (await data('GET', `${sessionsOf(self())}?status=terminated&per_page=100`)).map((s: Json) => s.id)
    expect([ids.includes(ended.id), ids.includes(open.id)]).toEqual([true, false])
  })
  meets('GET /api/sessions/:id', 'answers the session, nested and flat', async () => {
    const { id } = await newSession()
    const found = await data('GET', `/api/sessions/${id}`)
    expect([found.id, found.session.id]).toEqual([id, id])
  })
  meets('GET /api/sessions/:id', 'answers 404 SES_001 otherwise', async () => {
    expect(await refusal('GET', `/api/sessions/${UNKNOWN}`)).toEqual([404, 'SES_001'])
    expect(await refusal('GET', '/api/sessions/x')).toEqual([404, 'SES_001'])
  })
  meets('DELETE /api/sessions/:id', 'ends the session', async () => {
    const session = await newSession()
    await end(session)
    expect((await data('GET', `/api/sessions/${session.id}`)).status).toBe('terminated')
  })
  meets('GET /api/sessions/:id/logs', 'answers entries, by type and limit', async () => {
    const session = await newSession()
    await data('POST', `/api/sessions/${session.id}/input`, { body: { data: 'echo logged-$((40+2))\n' } })
    await shown(session, 'logged-42')
    const output = await data('GET', `/api/sessions/${session.id}/logs?type=output`)
    expect(output.map((entry: Json) => entry.data).join('')).toContain('logged-42')
    expect(new Set(output.map((entry: Json) => entry.type))).toEqual(new Set(['output']))
    expect(await data('GET', `/api/sessions/${session.id}/logs?limit=1`)).toHaveLength(1)
  })
  meets('POST /api/sessions/:id/attach', 'answers 200 with a ws_ ticket and the session', async () => {
    const { id } = await newSession()
    const attached = await data('POST', `/api/sessions/${id}/attach`)
    expect(attached).toMatchObject({ websocket_token: expect.stringMatching(/^ws_/), session: { id } })
  })
  meets('POST /api/sessions/:id/attach', 'answers 400 SES_002 once the session is over', async () => {
    const session = await newSession()
    await end(session)
    expect(await refusal('POST', `/api/sessions/${session.id}/attach`)).toEqual([400, 'SES_002'])
    const late = { body: { data: 'x' } }
    expect(await refusal('POST', `/api/sessions/${session.id}/input`, late)).toEqual([400, 'SES_002'])
  })
  meets('POST /api/sessions/:id/input', 'types into the terminal', async () => {
    const session = await newSession()
    expect(await data('POST', `/api/sessions/${session.id}/input`, { body: { data: 'echo n$((1+1))n\n' } })).toBe(null)
    await shown(session, 'n2n')
  })
  meets('POST /api/sessions/:id/resize', 'resizes the terminal', async () => {
    const session = await newSession()
    expect(await data('POST', `/api/sessions/${session.id}/resize`, { body: { cols: 160, rows: 50 } })).toBe(null)
    await data('POST', `/api/sessions/${session.id}/input`, { body: { data: 'stty size\n' } })
    await shown(session, '50 160')
  })
  meets('POST /api/sessions/:id/resize', 'refuses sizes that make no sense', async () => {
    const { id } = await newSession()
    expect(await refusal('POST', `/api/sessions/${id}/resize`, { body: { cols: 0, rows: 50 } })).toEqual([
      422,
      'VAL_001',
    ])
  })
}

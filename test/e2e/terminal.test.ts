import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import {
  api,
  createScratch,
  eventually,
  joinMesh,
  registerOwner,
  seesOnline,
  type Api,
  type RunningNode,
} from '../support/nodes.ts'

/** A terminal on machine B, used through A's gateway over the documented WebSocket. */
describe('a terminal on the other machine', () => {
  let scratch: Awaited<ReturnType<typeof createScratch>>
  let a: RunningNode
  let b: RunningNode
  let onA: Api
  let beta: string
  let appKey: string

  beforeAll(async () => {
    scratch = await createScratch()
    a = await scratch.start('alpha')
    b = await joinMesh(scratch, a, 'beta')
    await Promise.all([seesOnline(a, [a.peerId, b.peerId]), seesOnline(b, [a.peerId, b.peerId])])
    onA = api(a, await registerOwner(a))
    beta = await eventually(async () => {
      const { body } = await onA.get('/api/machines')
      return body.data.find((m: { name: string; status: string }) => m.name === 'beta' && m.status === 'online')?.id
    })
    appKey = 'rookery'
  })
  afterAll(() => scratch.dispose())

  async function startShell(): Promise<{ id: string; ticket: string }> {
    const created = await onA.post(`/api/machines/${beta}/sessions`, {
      mode: 'interactive',
      agent: 'shell',
      project_path: scratch.path,
      pty_size: { cols: 120, rows: 40 },
    })
    expect(created.status).toBe(201)
    return { id: created.body.data.session.id, ticket: created.body.data.websocket_token }
  }

  async function watch(id: string, ticket: string): Promise<Terminal> {
    const socket = new WebSocket(`${a.http.replace(/^http/, 'ws')}/app/${appKey}`)
    const terminal = new Terminal(socket, id)
    await new Promise((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('error', reject)
    })
    socket.send(
      JSON.stringify({
        event: 'pusher:subscribe',
        data: { channel: `private-session.${id}`, auth: { token: ticket } },
      }),
    )
    return terminal
  }

  it('delivers 200,000 lines in order and complete, takes input and resizes', async () => {
    const { id, ticket } = await startShell()
    const terminal = await watch(id, ticket)
    terminal.type('stty -echo; PS1=; echo rea""dy\n')
    await terminal.until((text) => text.includes('ready'))
    expect((await onA.post(`/api/sessions/${id}/resize`, { cols: 100, rows: 30 })).status).toBe(200)
    terminal.type('stty size; echo sized\n')
    await terminal.until((text) => text.includes('30 100'))
    terminal.type('echo be""gin; seq 1 200000; echo e""nd\n')
    const text = await terminal.until((all) => all.includes('\nend\r\n'))
    const body = text.slice(text.indexOf('begin\r\n') + 'begin\r\n'.length, text.lastIndexOf('end\r\n'))
    const expected = Array.from({ length: 200_000 }, (_, i) => `${i + 1}\r\n`).join('')
    expect(body.length).toBe(expected.length)
    expect(body === expected).toBe(true)
    const logs = await onA.get(`/api/sessions/${id}/logs?type=output&limit=10`)
    expect(logs.status).toBe(200)
    expect(logs.body.data.map((entry: { data: string }) => entry.data).join('')).toContain('end')
    expect((await onA.delete(`/api/sessions/${id}`)).status).toBe(200)
    terminal.socket.close()
  })

  it('ends the whole process group', async () => {
    const { id, ticket } = await startShell()
    const terminal = await watch(id, ticket)
    terminal.type('sleep 4242 & echo pid=$!.\n')
    const text = await terminal.until((all) => /pid=(\d+)\./.test(all))
    const pid = Number(/pid=(\d+)\./.exec(text)?.[1])
    expect(isAlive(pid)).toBe(true)
    expect((await onA.delete(`/api/sessions/${id}`)).status).toBe(200)
    await eventually(() => (isAlive(pid) ? undefined : true))
    await terminal.until((_, events) => events.includes('session:terminated'))
    terminal.socket.close()
  })

  it('outlives the node it runs on', async () => {
    const { id, ticket } = await startShell()
    const terminal = await watch(id, ticket)
    terminal.type('echo before""crash; X=kept\n')
    await terminal.until((text) => text.includes('beforecrash'))
    await b.stop('SIGKILL')
    const again = await scratch.start('beta', { dataDir: b.dataDir, args: ['--http', '127.0.0.1:0'] })
    await seesOnline(a, [a.peerId, again.peerId])
    const attached = await eventually(async () => {
      const answer = await onA.post(`/api/sessions/${id}/attach`)
      return answer.status === 200 ? answer : undefined
    })
    const second = await watch(id, attached.body.data.websocket_token)
    second.type('echo $X""now\n')
    const text = await second.until((all) => all.includes('keptnow'))
    expect(text).toContain('beforecrash')
    await onA.delete(`/api/sessions/${id}`)
    second.socket.close()
    terminal.socket.close()
  })
})

class Terminal {
  readonly socket: WebSocket
  readonly #id: string
  #text = ''
  readonly #events: string[] = []
  readonly #waiting = new Set<() => void>()

  constructor(socket: WebSocket, id: string) {
    this.socket = socket
    this.#id = id
    socket.on('message', (data: Buffer) => {
      const message = JSON.parse(data.toString('utf8'))
      this.#events.push(message.event)
      if (message.event === 'session:output') this.#text += message.data.data
      for (const wake of this.#waiting) wake()
    })
  }

  type(data: string): void {
    this.socket.send(
      JSON.stringify({ event: 'client-session:input', channel: `private-session.${this.#id}`, data: { data } }),
    )
  }

  async until(isThere: (text: string, events: readonly string[]) => boolean): Promise<string> {
    while (!isThere(this.#text, this.#events))
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          resolve()
        }
        this.#waiting.add(wake)
      })
    return this.#text
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

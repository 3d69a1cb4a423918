import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import { eventually } from '../support/nodes.ts'
import type { Benchmark, Context } from './benchmark.ts'
import { startChild } from './calls.ts'
import { startHttpMesh, type HttpMesh } from './http-mesh.ts'
import type { PtyServerCalls } from './peers/pty-server.ts'
import { median, nowMicros, timeEach } from './statistics.ts'

const FILE = 'large.txt'
const KEY = 'k'

/**
 * A browser's socket at gateway A, a shell on machine B. The terminal itself echoes: no program's speed is measured.
 * The peer has a shell behind a WebSocket in one process on the same machine.
 */
export const terminal: Benchmark = async (context) => {
  const mesh = await startHttpMesh(context)
  const file = join(mesh.path, FILE)
  const megabytes = context.quick ? 8 : 32
  await writeFile(
    file,
    'The quick brown fox jumps over the lazy dog, and back. 0123456789\n'.repeat(megabytes * 15_152),
  )
  const bytes = megabytes * 15_152 * 66
  const own = await measure(context, await ownShell(mesh), { file, bytes })
  const peer = await measure(context, await directShell(context), { file, bytes })
  return [
    {
      what: 'keystroke echo: browser → gateway A → shell on B and back, p50',
      unit: 'µs',
      rookery: own.echo,
      peer: { name: 'ws + node-pty', value: peer.echo },
      goal: { most: 1.7 },
    },
    {
      what: `cat of ${megabytes} MB on the same way`,
      unit: 'MB/s',
      rookery: own.throughput,
      peer: { name: 'ws + node-pty', value: peer.throughput },
      goal: { least: 0.5 },
    },
  ]
}

/** A shell somewhere, as its viewer sees it. */
type Shell = { type(text: string): void; onOutput: (listener: (text: string) => void) => void; close(): void }

async function measure(
  context: Context,
  shell: Shell,
  { file, bytes }: { file: string; bytes: number },
): Promise<{ echo: number; throughput: number }> {
  let heard = 0
  let tail = ''
  let wake = (): void => undefined
  shell.onOutput((text) => {
    heard += text.length
    tail = (tail + text).slice(-200)
    wake()
  })
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise<void>((resolve) => (wake = resolve))
  }
  const run = async (command: string): Promise<void> => {
    shell.type(`${command}; echo do""ne\n`)
    await until(() => /done\r?\n/.test(tail))
    tail = ''
  }
  // Bytes come through as they are, so they can be counted; nothing typed is echoed but where it is measured.
  await run('stty -echo -opost; PS1=; PS2=')
  const throughputs: number[] = []
  for (let round = 0; round < (context.quick ? 2 : 4); round++) {
    const [before, began] = [heard, nowMicros()]
    await run(`cat ${file}`)
    await until(() => heard - before >= bytes)
    throughputs.push(bytes / (nowMicros() - began))
  }
  // Without line discipline, or the terminal would stop echoing after 4 kB without a line's end.
  shell.type('stty -icanon echo; echo rea""dy; exec cat > /dev/null\n')
  await until(() => tail.includes('ready'))
  const press = async (): Promise<void> => {
    const before = heard
    shell.type(KEY)
    await until(() => heard > before)
  }
  await timeEach(context.quick ? 200 : 1000, press) // warms up
  const echo = median(await timeEach(context.quick ? 500 : 3000, press))
  shell.close()
  return { echo, throughput: median(throughputs.slice(1)) }
}

async function ownShell({ onA, a, path }: HttpMesh): Promise<Shell> {
  const beta: string = await eventually(async () => {
    const { body } = await onA.get('/api/machines')
    return body.data.find((m: { name: string; status: string }) => m.name === 'beta' && m.status === 'online')?.id
  })
  const { status, body } = await onA.post(`/api/machines/${beta}/sessions`, {
    mode: 'interactive',
    agent: 'shell',
    project_path: path,
    pty_size: { cols: 120, rows: 40 },
  })
  if (status !== 201) throw new Error(`the session was answered with ${status}: ${JSON.stringify(body)}`)
  const channel = `private-session.${body.data.session.id}`
  const socket = new WebSocket(`${a.http.replace(/^http/, 'ws')}/app/rookery`)
  await once(socket, 'open')
  let hear = (_text: string): void => undefined
  socket.on('message', (data: Buffer) => {
    const frame = JSON.parse(data.toString())
    if (frame.event === 'session:output') hear(frame.data.data)
  })
  const send = (event: string, fields: object): void => socket.send(JSON.stringify({ event, ...fields }))
  send('pusher:subscribe', { data: { channel, auth: { token: body.data.websocket_token }, spelling: 'colon' } })
  return {
    type: (text) => send('client-session:input', { channel, data: { data: text } }),
    onOutput: (listener) => (hear = listener),
    close: () => socket.close(),
  }
}

async function directShell(context: Context): Promise<Shell> {
  const server = await startChild<PtyServerCalls>(context, 'pty-server')
  const socket = new WebSocket(`ws://127.0.0.1:${await server.call('port')}`)
  await once(socket, 'open')
  let hear = (_text: string): void => undefined
  socket.on('message', (data: Buffer) => hear(data.toString()))
  return {
    type: (text) => socket.send(text),
    onOutput: (listener) => (hear = listener),
    close: () => socket.close(),
  }
}

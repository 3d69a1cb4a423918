import { createServer } from 'node:http'
import { spawn } from '@lydell/node-pty'
import { WebSocketServer } from 'ws'
import { answerCalls } from '../calls.ts'

/** More than this in a socket's buffer, and the terminal is not read. */
const BUFFERED_BYTES_MAX = 1024 * 1024
const RESUME_BELOW_BYTES = 256 * 1024

const server = createServer()
/** One shell per connection: what is received is typed, what it prints is sent. */
new WebSocketServer({ server }).on('connection', (socket) => {
  const shell = spawn(process.env.SHELL ?? '/bin/sh', [], { cols: 120, rows: 40, encoding: null })
  let isPaused = false
  const resume = (): void => {
    if (!isPaused || socket.bufferedAmount > RESUME_BELOW_BYTES) return
    isPaused = false
    shell.resume()
  }
  shell.onData((data) => {
    socket.send(data, resume)
    if (isPaused || socket.bufferedAmount <= BUFFERED_BYTES_MAX) return
    isPaused = true
    shell.pause()
  })
  socket.on('message', (data: Buffer) => shell.write(data.toString()))
  socket.on('close', () => shell.kill('SIGKILL'))
})
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))

const calls = {
  port() {
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  },
}
export type PtyServerCalls = typeof calls

answerCalls(calls)

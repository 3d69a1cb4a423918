import { once } from 'node:events'
import { createServer } from 'node:net'
import { answerCalls } from '../calls.ts'

const server = createServer((socket) => {
  socket.setNoDelay(true)
  socket.on('data', (data) => socket.write(data))
  socket.on('error', () => socket.destroy())
}).listen(0, '127.0.0.1')
await once(server, 'listening')

const calls = {
  port() {
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  },
}
export type TcpEchoCalls = typeof calls

answerCalls(calls)

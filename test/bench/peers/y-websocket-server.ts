import { createServer } from 'node:http'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import { WebSocketServer, type WebSocket } from 'ws'
import { readSyncMessage, writeSyncStep1, writeUpdate } from 'y-protocols/sync'
import * as Y from 'yjs'
import { answerCalls } from '../calls.ts'

const SYNC = 0

/** What y-websocket's own server does for a document, without awareness and without a disk. */
class Room {
  readonly #doc = new Y.Doc()
  readonly #sockets = new Set<WebSocket>()

  constructor() {
    this.#doc.on('update', (update: Uint8Array) => {
      const bytes = framed((encoder) => writeUpdate(encoder, update))
      for (const socket of this.#sockets) socket.send(bytes)
    })
  }

  enter(socket: WebSocket): void {
    this.#sockets.add(socket)
    socket.on('close', () => this.#sockets.delete(socket))
    socket.on('message', (data: Uint8Array) => {
      const decoder = decoding.createDecoder(new Uint8Array(data))
      if (decoding.readVarUint(decoder) !== SYNC) return
      const encoder = encoding.createEncoder()
      encoding.writeVarUint(encoder, SYNC)
      readSyncMessage(decoder, encoder, this.#doc, socket)
      if (encoding.length(encoder) > 1) socket.send(encoding.toUint8Array(encoder))
    })
    socket.send(framed((encoder) => writeSyncStep1(encoder, this.#doc)))
  }
}

function framed(write: (encoder: encoding.Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, SYNC)
  write(encoder)
  return encoding.toUint8Array(encoder)
}

const rooms = new Map<string, Room>()
const server = createServer()
new WebSocketServer({ server }).on('connection', (socket, { url = '/' }) => {
  const room = rooms.get(url) ?? new Room()
  rooms.set(url, room)
  room.enter(socket)
})
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))

const calls = {
  port() {
    const address = server.address()
    return typeof address === 'object' && address ? address.port : 0
  },
}
export type YWebsocketServerCalls = typeof calls

answerCalls(calls)

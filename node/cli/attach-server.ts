import type { Duplex } from 'node:stream'
import { z } from 'zod'
import type { Actor } from '../../crdt/actor.ts'
import { PTY_COLS, PTY_ROWS } from '../../crdt/session.ts'
import type { SessionService, SessionViewer } from '../services/sessions/session-service.ts'
import { encodeFrame, encodeJsonFrame, FRAME, parseJsonPayload, readFrames } from './attach-frames.ts'

const Resize = z.strictObject({
  cols: z.int().min(PTY_COLS.min).max(PTY_COLS.max),
  rows: z.int().min(PTY_ROWS.min).max(PTY_ROWS.max),
})

/** Joins a terminal on the control socket to a session, or an execution, anywhere in the mesh, until either goes away. */
export async function serveAttach(
  sessions: Pick<SessionService, 'attach'>,
  actor: Actor,
  sessionId: string,
  socket: Duplex,
): Promise<void> {
  const ended = new AbortController()
  socket.once('close', () => ended.abort())
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rookery-session\r\n\r\n')
  const attached = await sessions.attach(actor, sessionId, { signal: ended.signal })
  if (!attached.ok) {
    socket.end(encodeJsonFrame(FRAME.refused, attached.error))
    return
  }
  const viewer = attached.value
  try {
    await Promise.race([sendOutput(viewer, socket), receiveInput(viewer, socket)])
  } finally {
    viewer.close()
    socket.end()
  }
}

async function sendOutput(viewer: SessionViewer, socket: Duplex): Promise<void> {
  for await (const item of viewer.output) {
    if (item.type === 'output') {
      // Acknowledged when the kernel took it: a terminal that stops reading stops the flow, nothing piles up here.
      await written(socket, encodeFrame(FRAME.output, item.bytes))
      viewer.acknowledge(item.seq + item.bytes.byteLength)
    } else await written(socket, encodeJsonFrame(item.type === 'gap' ? FRAME.gap : FRAME.exit, item))
  }
}

async function receiveInput(viewer: SessionViewer, socket: Duplex): Promise<void> {
  for await (const frame of readFrames(socket)) {
    if (frame.type === FRAME.input) await viewer.input(frame.payload)
    else if (frame.type === FRAME.resize) await viewer.resize(Resize.parse(parseJsonPayload(frame)))
  }
}

const written = (socket: Duplex, bytes: Uint8Array): Promise<void> =>
  new Promise((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())))

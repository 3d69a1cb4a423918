import { connect } from 'node:net'
import {
  decodeHostFrame,
  encodeViewerFrame,
  type ProgramState,
  type ViewerFrame,
} from '../../protocols/session-stream.ts'
import { createFrameSocket } from './frame-socket.ts'

export type HostReply = 'ended' | 'busy' | null
type Request = Extract<ViewerFrame, { id: number }>
type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never

/** The node's own connection to a host: state as it changes, and requests with answers. */
export type HostLink = {
  /** Rejects when the host is gone or does not answer in time. */
  request(request: WithoutId<Request>, timeoutMs: number): Promise<HostReply>
  close(): void
}

type Events = { readonly onState: (state: ProgramState) => void; readonly onClose: () => void }

/** Resolves when the host has told its state. Rejects when it is not there. */
export async function linkHost(path: string, events: Events): Promise<HostLink> {
  const socket = connect(path)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  const waiting = new Map<number, (reply: HostReply | Error) => void>()
  const told = Promise.withResolvers<void>()
  let nextId = 0
  const wire = createFrameSocket(socket, {
    frame(bytes) {
      const frame = decodeHostFrame(bytes)
      if (frame.type === 'reply') waiting.get(frame.id)?.(frame.problem)
      if (frame.type !== 'state') return
      events.onState(frame.state)
      told.resolve()
    },
    close() {
      const gone = new Error('the session host closed the connection')
      told.reject(gone)
      for (const settle of waiting.values()) settle(gone)
      events.onClose()
    },
  })
  wire.send(encodeViewerFrame({ type: 'watch' }))
  await told.promise
  return {
    async request(request, timeoutMs) {
      const id = nextId++ % 0xffff_ffff
      const { promise, resolve } = Promise.withResolvers<HostReply | Error>()
      waiting.set(id, resolve)
      const timer = setTimeout(() => resolve(new Error('the session host does not answer')), timeoutMs)
      if (socket.destroyed) resolve(new Error('the session host closed the connection'))
      else wire.send(encodeViewerFrame({ ...request, id }))
      const reply = await promise
      clearTimeout(timer)
      waiting.delete(id)
      if (reply instanceof Error) throw reply
      return reply
    },
    close: () => wire.destroy(),
  }
}

import { z } from 'zod'
import { shape, text } from './row.ts'
import type { SocketRow } from './row.ts'

const task = shape({ id: text, title: text, status: text })
const nothing = shape({})

const message = (event: string, direction: SocketRow['direction'], payload: z.ZodType): SocketRow => ({
  section: event === 'pusher:subscribe' ? '13.2' : event === 'client-session:input' ? '13.4' : '13.3',
  event,
  direction,
  payload,
})

export const socketRows: readonly SocketRow[] = [
  message('pusher:subscribe', 'to server', shape({ channel: text, auth: shape({}) })),
  message('client-session:input', 'to server', shape({ data: text })),
  message('session:input', 'to server', shape({ data: text })),
  message('session:output', 'to client', shape({ data: text })),
  message('session:resize', 'to server', shape({ cols: z.int(), rows: z.int() })),
  message('session:terminate', 'to server', nothing),
  message('session:terminated', 'to client', nothing),
  message('task:claimed', 'to client', shape({ task, instanceId: text })),
  message('task:released', 'to client', shape({ task, reason: text })),
  message('task:completed', 'to client', shape({ task, summary: text })),
  message('file:locked', 'to client', shape({ path: text, lockedBy: text, reason: text.nullable() })),
  message('file:unlocked', 'to client', shape({ path: text })),
]

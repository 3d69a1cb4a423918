import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import type { Ability } from '../../crdt/actor.ts'
import { PTY_COLS, PTY_ROWS } from '../../crdt/session.ts'

/** What a channel is about. Singular and plural names are the same topic. */
export type Topic =
  | { readonly kind: 'session' | 'execution' | 'project' | 'machine'; readonly id: string }
  | { readonly kind: 'mesh'; readonly id: null }

const CHANNEL =
  /^private-(session|execution|project|machine)s?\.([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/

export const CHANNEL_CHARS_MAX = 200

/** Channels of one socket; a board with every project and machine of a team stays below it. */
export const CHANNELS_MAX = 100

export function topicOf(channel: string): Topic | undefined {
  if (channel === 'private-mesh') return { kind: 'mesh', id: null }
  const [, kind, id] = CHANNEL.exec(channel) ?? []
  const isKind = kind === 'session' || kind === 'execution' || kind === 'project' || kind === 'machine'
  return isKind && id !== undefined ? { kind, id } : undefined
}

export const topicKey = (topic: Topic): string => (topic.id === null ? topic.kind : `${topic.kind}.${topic.id}`)

/** What it takes to listen; single events ask for more. */
export const LISTEN_ABILITY = {
  session: 'session:read',
  execution: 'command:read',
  project: 'project:read',
  machine: 'machine:read',
  mesh: 'machine:read',
} as const satisfies Record<Topic['kind'], Ability>

/** Close codes and error codes of the Pusher protocol. 40xx: never again; 41xx: later; 42xx: at once. */
export const PUSHER_CODES = {
  noSuchApp: 4001,
  protocolVersion: 4007,
  unauthorized: 4009,
  overCapacity: 4100,
  reconnect: 4200,
  clientEventRefused: 4301,
} as const

/** WebSocket's own "try again later", for readers that do not read. */
export const CLOSE_TOO_SLOW = 1013

const Frame = z.object({
  event: z.string().min(1).max(CHANNEL_CHARS_MAX),
  channel: z.string().max(CHANNEL_CHARS_MAX).optional(),
  data: z.unknown().optional(),
})
export type Frame = z.infer<typeof Frame>

/** Pusher sends `data` as an object or as JSON in a string; both are read. */
export function parseFrame(text: string): Frame | undefined {
  const frame = Frame.safeParse(parseJson(text))
  if (!frame.success) return undefined
  const { data } = frame.data
  return typeof data === 'string' ? { ...frame.data, data: parseJson(data) ?? data } : frame.data
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const Headers = z.record(z.string(), z.unknown())

export const SubscribeData = z.object({
  channel: z.string().max(CHANNEL_CHARS_MAX),
  auth: z
    .union([
      z.string().max(1024),
      z.object({ token: z.string().max(512) }),
      z.object({ headers: Headers.transform(authorizationOf) }),
    ])
    .optional(),
  /** Ours: the byte of terminal output to go on from. */
  from: z.int().min(0).optional(),
  /** Ours: events under one spelling only, which halves the traffic. */
  spelling: z.enum(['colon', 'dot']).optional(),
})
export type SubscribeData = z.infer<typeof SubscribeData>

function authorizationOf(headers: Record<string, unknown>): string | undefined {
  const entry = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')?.[1]
  return typeof entry === 'string' ? /^Bearer (\S{1,512})$/i.exec(entry)?.[1] : undefined
}

export const UnsubscribeData = z.object({ channel: z.string().max(CHANNEL_CHARS_MAX) })

const INPUT_CHARS_MAX = 256 * 1024
export const InputData = z.object({ data: z.string().max(INPUT_CHARS_MAX) })
export const ResizeData = z.object({
  cols: z.int().min(PTY_COLS.min).max(PTY_COLS.max),
  rows: z.int().min(PTY_ROWS.min).max(PTY_ROWS.max),
})

export type ClientEvent = 'input' | 'resize' | 'terminate'

/** `client-session:input`, as Pusher demands, and the document's bare `session:input`; colon or dot. */
export function clientEventOf(event: string): ClientEvent | undefined {
  const name = /^(?:client-)?session[:.](input|resize|terminate)$/.exec(event)?.[1]
  return name === 'input' || name === 'resize' || name === 'terminate' ? name : undefined
}

export type Spelling = 'colon' | 'dot' | 'both'

/** The event as text, once per spelling. `name` has a colon. */
export function eventFrames(name: string, channel: string, event: { data: object; spelling: Spelling }): string[] {
  const { data, spelling } = event
  const names = [...(spelling === 'dot' ? [] : [name]), ...(spelling === 'colon' ? [] : [name.replace(':', '.')])]
  return names.map((spelled) => JSON.stringify({ event: spelled, channel, data }))
}

export const establishedFrame = (socketId: string): string =>
  // Pusher sends these data as JSON in a string, and some clients insist on it.
  plainFrame('pusher:connection_established', JSON.stringify({ socket_id: socketId, activity_timeout: SILENCE_S }))

/** Seconds of silence after which Pusher clients ping. */
const SILENCE_S = 30

export const plainFrame = (event: string, data: unknown, channel?: string): string =>
  JSON.stringify({ event, channel, data })

export const errorFrame = (code: number | null, message: string): string =>
  JSON.stringify({ event: 'pusher:error', data: { code, message } })

/** Proof that this gateway allowed a socket onto a channel, in the form that Pusher clients carry. */
export const channelSignature = (secret: Uint8Array, socketId: string, channel: string): string =>
  createHmac('sha256', secret).update(`${socketId}:${channel}`).digest('hex')

export function isSameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

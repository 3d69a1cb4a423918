import type { RawData, WebSocket } from 'ws'
import { can } from '../../crdt/actor.ts'
import type { Actor } from '../../crdt/actor.ts'
import type { DomainEvent } from '../../crdt/domain-event.ts'
import { domainError } from '../../crdt/errors.ts'
import type { DomainError } from '../../crdt/errors.ts'
import { err, ok } from '../../crdt/result.ts'
import type { Result } from '../../crdt/result.ts'
import type { Clock } from '../../node/ports/clock.ts'
import type { Log } from '../../node/ports/log.ts'
import type { Services } from '../../node/services/services.ts'
import type { SessionViewer } from '../../node/services/sessions/session-service.ts'
import { createChannelProofs } from './channel-proofs.ts'
import type { ChannelProofs, ProofDeps } from './channel-proofs.ts'
import { actOnSession } from './client-events.ts'
import { createFrameQueue } from './frame-queue.ts'
import { createOutlet } from './outlet.ts'
import type { Outlet } from './outlet.ts'
import {
  CHANNELS_MAX,
  clientEventOf,
  CLOSE_TOO_SLOW,
  errorFrame,
  establishedFrame,
  eventFrames,
  LISTEN_ABILITY,
  parseFrame,
  plainFrame,
  PUSHER_CODES,
  SubscribeData,
  topicKey,
  topicOf,
  UnsubscribeData,
} from './pusher-frames.ts'
import type { Frame, Spelling, Topic } from './pusher-frames.ts'
import type { PusherWords } from './pusher-words.ts'
import { COMMAND_NAMES, streamTerminal } from './terminal-stream.ts'
import type { TerminalMessage } from './terminal-stream.ts'

/** Refused subscriptions after which a socket that proved nothing is closed. */
export const REFUSALS_MAX = 10

export type ConnectionDeps = ProofDeps & {
  readonly services: Services
  readonly words: PusherWords
  readonly clock: Clock
  readonly log: Log
  readonly stalledMs: number
  /** Called once, at the first successful subscription; false when the gateway has no room. */
  onAuthenticated(connection: Connection): boolean
}

type Subscription = {
  readonly topic: Topic
  readonly actor: Actor
  readonly spelling: Spelling
  readonly stop: AbortController
  viewer: SessionViewer | undefined
  /** Ends what is kept in memory for it. */
  readonly release: () => void
}

/** One socket that speaks the Pusher protocol. Its frames are worked on one after the other. */
export class Connection {
  readonly id: string
  readonly #deps: ConnectionDeps
  readonly #socket: WebSocket
  readonly #outlet: Outlet
  readonly #proofs: ChannelProofs
  readonly #subscriptions = new Map<string, Subscription>()
  /** Every token this socket acts for, or was allowed to. */
  readonly #tokenIds = new Set<string>()
  #isAuthenticated = false
  #refusals = 0

  constructor(deps: ConnectionDeps, socket: WebSocket, from: { id: string; address: string; origin: string | null }) {
    this.id = from.id
    this.#deps = deps
    this.#socket = socket
    this.#outlet = createOutlet(socket, deps.clock, deps.stalledMs)
    this.#proofs = createChannelProofs(deps, from)
  }

  /** False from the moment the close frame is on its way, which may lie behind much that was not read yet. */
  get isOpen(): boolean {
    return this.#socket.readyState === this.#socket.OPEN
  }

  /** Greets the client and serves it until the socket closes. */
  start(): void {
    const { log } = this.#deps
    const enqueue = createFrameQueue<Frame>(
      this.#socket,
      (frame) => this.#handle(frame),
      (error, frame) => {
        log.error({ err: error, event: frame.event }, 'a socket frame failed inside')
        this.#outlet.push(errorFrame(null, domainError('internal').message))
      },
    )
    this.#socket.on('message', (bytes, isBinary) => {
      const frame = isBinary ? undefined : parseFrame(textOf(bytes))
      if (frame === undefined) this.#outlet.push(errorFrame(null, 'A frame is a JSON object with an event.'))
      else if (frame.event === 'pusher:ping') this.#outlet.push(plainFrame('pusher:pong', {}))
      else if (frame.event !== 'pusher:pong') enqueue(frame)
    })
    this.#socket.on('close', () => {
      for (const channel of this.#subscriptions.keys()) this.#leave(channel)
    })
    this.#outlet.push(establishedFrame(this.id))
  }

  /** Lets the holder of a token subscribe this socket to a channel by signature. */
  authorize(actor: Actor, channel: string): Result<string> {
    const granted = this.#proofs.grant(actor, channel)
    if (granted.ok) this.#tokenIds.add(actor.tokenId)
    return granted
  }

  deliver(event: DomainEvent): void {
    const { topics, ability, name, data } = this.#deps.words.translate(event, this.#deps.clock.wallMs())
    for (const [channel, { topic, actor, spelling }] of this.#subscriptions) {
      if (!topics.includes(topicKey(topic)) || !can(actor, ability)) continue
      for (const frame of eventFrames(name, channel, { data, spelling })) this.#outlet.push(frame)
    }
  }

  actsFor(tokenId: string): boolean {
    return this.#tokenIds.has(tokenId)
  }

  close(code: number, reason: string): void {
    this.#outlet.close(code, reason)
  }

  async #handle(frame: Frame): Promise<void> {
    if (frame.event === 'pusher:subscribe') {
      const data = SubscribeData.safeParse(frame.data)
      if (!data.success) return this.#outlet.push(errorFrame(null, 'pusher:subscribe needs a channel and its auth.'))
      const subscribed = await this.#subscribe(data.data)
      return subscribed.ok ? undefined : this.#refuse(data.data.channel, subscribed.error)
    }
    if (frame.event === 'pusher:unsubscribe') {
      const data = UnsubscribeData.safeParse(frame.data)
      return data.success ? this.#leave(data.data.channel) : undefined
    }
    const done = await this.#act(frame)
    if (!done.ok) this.#outlet.push(errorFrame(PUSHER_CODES.clientEventRefused, done.error.message))
  }

  async #act(frame: Frame): Promise<Result<unknown>> {
    const event = clientEventOf(frame.event)
    if (event === undefined) return err(domainError('invalid_input', { message: `Unknown event ${frame.event}.` }))
    const subscription = this.#subscriptions.get(frame.channel ?? '')
    if (subscription?.topic.kind !== 'session') {
      return err(domainError('forbidden', { message: 'Subscribe to the session before you write to it.' }))
    }
    const target = { sessionId: subscription.topic.id, actor: subscription.actor, viewer: subscription.viewer }
    return await actOnSession(this.#deps.services.sessions, target, { event, data: frame.data })
  }

  async #subscribe(data: SubscribeData): Promise<Result<unknown>> {
    const { channel } = data
    const topic = topicOf(channel)
    if (topic === undefined) return err(domainError('forbidden', { message: 'There is no such channel.' }))
    const actor = this.#proofs.prove(data, topic)
    if (actor === undefined) return err(domainError('unauthenticated'))
    // Before anything is awaited: a revocation that comes meanwhile must find this socket.
    this.#tokenIds.add(actor.tokenId)
    if (!can(actor, LISTEN_ABILITY[topic.kind])) return err(domainError('forbidden'))
    if (!this.#subscriptions.has(channel) && this.#subscriptions.size >= CHANNELS_MAX) {
      return err(domainError('limit_reached'))
    }
    const found = await this.#find(topic)
    if (!found.ok) return found
    const release = found.value
    const spelling = data.spelling ?? 'both'
    const stop = new AbortController()
    const attached = await this.#attach({ topic, actor, stop }, data.from)
    if (!attached.ok) {
      release()
      return attached
    }
    const viewer = attached.value
    if (this.#socket.readyState !== this.#socket.OPEN) {
      release()
      return ok(viewer?.close())
    }
    return ok(this.#enter(channel, { topic, actor, spelling, stop, viewer, release }))
  }

  /** With what to call when it is not needed any more. */
  async #find(topic: Topic): Promise<Result<() => void>> {
    const { sessions, commands, tasks, machines } = this.#deps.services
    if (topic.kind === 'project') return await tasks.watch(topic.id)
    const found =
      topic.kind === 'session'
        ? await sessions.get(topic.id)
        : topic.kind === 'execution'
          ? await commands.execution(topic.id)
          : topic.kind === 'machine'
            ? await machines.get(topic.id)
            : ok(null)
    return found.ok ? ok(() => undefined) : found
  }

  /**
   * Undefined: there is nothing to view, because the topic is nothing that puts out anything, or the session is over. The
   * output of an execution is there afterwards, too.
   */
  async #attach(
    { topic, actor, stop }: Pick<Subscription, 'topic' | 'actor' | 'stop'>,
    fromSeq: number | undefined,
  ): Promise<Result<SessionViewer | undefined>> {
    const options = { signal: stop.signal, ...(fromSeq === undefined ? {} : { fromSeq }) }
    const { sessions, commands } = this.#deps.services
    if (topic.kind === 'execution') return await commands.attach(actor, topic.id, options)
    if (topic.kind !== 'session') return ok(undefined)
    const attached = await sessions.attach(actor, topic.id, options)
    return !attached.ok && attached.error.code === 'session_ended' ? ok(undefined) : attached
  }

  #enter(channel: string, subscription: Subscription): void {
    this.#leave(channel)
    this.#subscriptions.set(channel, subscription)
    if (!this.#isAuthenticated) {
      this.#isAuthenticated = this.#deps.onAuthenticated(this)
      if (!this.#isAuthenticated) return
    }
    this.#outlet.push(plainFrame('pusher_internal:subscription_succeeded', {}, channel))
    if (subscription.viewer !== undefined) return this.#pump(channel, subscription, subscription.viewer)
    if (subscription.topic.kind !== 'session') return
    const data = { exit_code: null, signal: null }
    for (const frame of eventFrames('session:terminated', channel, { data, spelling: subscription.spelling })) {
      this.#outlet.push(frame)
    }
  }

  #leave(channel: string): void {
    const left = this.#subscriptions.get(channel)
    this.#subscriptions.delete(channel)
    left?.release()
    left?.stop.abort()
    left?.viewer?.close()
  }

  #pump(channel: string, subscription: Subscription, viewer: SessionViewer): void {
    const send = async ({ name, data }: TerminalMessage): Promise<boolean> => {
      // Before the client can know: what it types from now on must be refused, not lost.
      if (name === 'session:terminated' || name === 'session:detached') subscription.viewer = undefined
      const told = subscription.topic.kind === 'execution' ? COMMAND_NAMES[name] : name
      const frames = eventFrames(told, channel, { data, spelling: subscription.spelling })
      const sent = await Promise.all(frames.map((frame) => this.#outlet.flush(frame)))
      if (name === 'session:detached' && data.reason === 'slow') this.close(CLOSE_TOO_SLOW, 'Reading too slowly')
      return sent.every(Boolean)
    }
    streamTerminal(viewer, send)
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error, channel }, 'a terminal stream broke')
        this.close(PUSHER_CODES.reconnect, 'The terminal stream broke')
      })
      .finally(() => {
        viewer.close()
        subscription.viewer = undefined
      })
  }

  #refuse(channel: string, error: DomainError): void {
    const { code, status } = this.#deps.words.problem(error)
    const data = { type: 'AuthError', error: error.message, code, status }
    this.#outlet.push(plainFrame('pusher:subscription_error', data, channel))
    this.#outlet.push(errorFrame(PUSHER_CODES.unauthorized, error.message))
    this.#refusals++
    if (!this.#isAuthenticated && this.#refusals >= REFUSALS_MAX) {
      this.close(PUSHER_CODES.unauthorized, 'Too many refused subscriptions')
    }
  }
}

const textOf = (bytes: RawData): string =>
  (Array.isArray(bytes) ? Buffer.concat(bytes) : bytes instanceof ArrayBuffer ? Buffer.from(bytes) : bytes).toString()

import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Json, RunningNode } from './nodes.ts'

/** A socket on a node's gateway that counts what it gets. */
export class Subscriber {
  readonly socket: WebSocket
  readonly channel: string
  /** Everything but output, in order. */
  readonly events: { readonly event: string; readonly data: Json }[] = []
  outputBytes = 0
  /** Position after the newest output. */
  end = 0
  /** The newest output; enough to look for an answer in. */
  tail = ''
  closedWith: { readonly code: number } | undefined
  readonly #waiting = new Set<() => void>()

  private constructor(socket: WebSocket, channel: string) {
    this.socket = socket
    this.channel = channel
    socket.on('error', () => undefined)
    socket.on('close', (code) => {
      this.closedWith = { code }
      this.#wake()
    })
    socket.on('message', (bytes: Buffer) => {
      const { event, data } = JSON.parse(bytes.toString('utf8'))
      if (event === 'session:output') {
        this.outputBytes += data.end - data.seq
        this.end = data.end
        this.tail = (this.tail + data.data).slice(-4096)
      } else this.events.push({ event, data })
      this.#wake()
    })
  }

  /** Resolves when the gateway has taken the subscription. */
  static async open(
    node: RunningNode,
    channel: string,
    { token, from }: { token: string; from?: number },
  ): Promise<Subscriber> {
    const socket = new WebSocket(`${node.http.replace(/^http/, 'ws')}/app/rookery`)
    const subscriber = new Subscriber(socket, channel)
    await once(socket, 'open')
    subscriber.#say('pusher:subscribe', {
      channel,
      auth: { token },
      spelling: 'colon',
      ...(from !== undefined && { from }),
    })
    await subscriber.until(
      () => subscriber.has('pusher_internal:subscription_succeeded') || subscriber.closedWith !== undefined,
    )
    if (subscriber.closedWith) throw new Error(`${channel}: closed with ${subscriber.closedWith.code}`)
    return subscriber
  }

  has(event: string): boolean {
    return this.events.some((one) => one.event === event)
  }

  type(data: string): void {
    this.socket.send(JSON.stringify({ event: 'client-session:input', channel: this.channel, data: { data } }))
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#waiting.add(resolve)
      await promise
    }
  }

  #say(event: string, data: object): void {
    this.socket.send(JSON.stringify({ event, data }))
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }
}

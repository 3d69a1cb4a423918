import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'
import type { Multiaddr } from '@multiformats/multiaddr'
import { every, type Cancel, type Clock } from '../ports/clock.ts'
import { lanAnswer, lanQuestion, readLanPacket, type LanPeer } from './lan-packets.ts'

/** Of multicast DNS. */
const PORT = 5353
const GROUP = '224.0.0.251'
const ASK_EVERY_MS = 10_000
/** While nobody is missing, every which time: each question wakes every node on the LAN, and who starts asks by itself. */
const ASK_SELDOM = 6
/** After a change of network the others are asked at once, and this is how late it is noticed. */
const LOOK_EVERY_MS = 5000
/** Everybody hears an answer: those who ask within this time get one together. */
const ANSWER_EVERY_MS = 1000
const NAME_BYTES = 16

export type LanDiscoveryOptions = {
  /** Only nodes with the same one hear each other. */
  readonly tag: string
  /** Of this node, each ending in its peer id. */
  readonly addresses: () => readonly Multiaddr[]
  readonly clock: Clock
  /** Whether there is somebody to be found. */
  readonly isMissing: () => boolean
  /** Told of every answer and the IP address it came from, again and again, of this node's own too. */
  readonly onPeer: (peer: LanPeer, from: string) => void
  /** A port that cannot be opened, an interface that refuses: discovery then goes without. */
  readonly onProblem: (error: unknown) => void
}

/**
 * Multicast DNS on every network of this host. Where the default route leads does not matter: a VPN may have it, or there
 * is none on a LAN of two machines and a cable, and a socket left to itself would ask there only, or nowhere.
 */
export class LanDiscovery {
  readonly #options: LanDiscoveryOptions
  readonly #name = randomBytes(NAME_BYTES).toString('hex')
  readonly #cancels: Cancel[] = []
  #turns = 0
  #socket: Socket | undefined
  #joined: readonly string[] = []
  #answering: NodeJS.Timeout | undefined
  #answeredMs = -Infinity
  /** One packet after the other: which interface they leave by is a setting of the socket. */
  #sending: Promise<void> = Promise.resolve()

  constructor(options: LanDiscoveryOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    const socket = createSocket({ type: 'udp4', reuseAddr: true })
    this.#socket = socket
    socket.on('error', (error) => this.#options.onProblem(error))
    socket.on('message', (packet, { address }) => this.#onPacket(packet, address))
    const isBound = await new Promise<boolean>((resolve) => {
      socket.once('error', () => resolve(false))
      socket.bind(PORT, () => resolve(true))
    })
    if (!isBound || this.#socket !== socket) return
    this.#join()
    this.#ask()
    const { clock, isMissing } = this.#options
    this.#cancels.push(
      every(clock, ASK_EVERY_MS, () => {
        if (++this.#turns % ASK_SELDOM === 0 || isMissing()) this.#ask()
      }),
      every(clock, LOOK_EVERY_MS, () => this.#look()),
    )
  }

  async stop(): Promise<void> {
    for (const cancel of this.#cancels.splice(0)) cancel()
    clearTimeout(this.#answering)
    const socket = this.#socket
    this.#socket = undefined
    await this.#sending
    socket?.close()
  }

  #look(): void {
    if (ownAddresses().join() === this.#joined.join()) return
    this.#join()
    this.#ask()
  }

  /** Anew on all: an interface that had no address for a moment may have lost its membership. */
  #join(): void {
    const before = this.#joined
    this.#joined = ownAddresses()
    for (const address of before) attempt(() => this.#socket?.dropMembership(GROUP, address)) // may be gone
    // Two addresses of one interface are one membership.
    for (const address of this.#joined) attempt(() => this.#socket?.addMembership(GROUP, address))
  }

  #ask(): void {
    this.#send(lanQuestion(this.#options.tag))
  }

  #onPacket(packet: Buffer, from: string): void {
    const said = readLanPacket(packet, this.#options.tag)
    if (said === 'question') this.#answerSoon()
    else if (said !== undefined) this.#options.onPeer(said, from)
  }

  #answerSoon(): void {
    const waitMs = Math.max(0, this.#answeredMs + ANSWER_EVERY_MS - performance.now())
    this.#answering ??= setTimeout(() => {
      this.#answering = undefined
      this.#answeredMs = performance.now()
      this.#send(lanAnswer(this.#options.tag, this.#name, this.#options.addresses()))
    }, waitMs).unref()
  }

  #send(packet: Buffer): void {
    this.#sending = this.#sending.then(async () => {
      for (const address of this.#joined) await this.#sendFrom(address, packet)
    })
  }

  /** Never rejects: one interface that cannot must not keep the others from it. */
  async #sendFrom(address: string, packet: Buffer): Promise<void> {
    const socket = this.#socket
    if (socket === undefined) return
    await new Promise<void>((resolve) => {
      const done = (error?: unknown): void => {
        if (error) this.#options.onProblem(error)
        resolve()
      }
      try {
        socket.setMulticastInterface(address)
        socket.send(packet, PORT, GROUP, done)
      } catch (error) {
        done(error)
      }
    })
  }
}

/** Loopback too: two nodes on a host without a network find each other. */
const ownAddresses = (): string[] =>
  Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .flatMap(({ family, address }) => (family === 'IPv4' ? [address] : []))
    .toSorted()

function attempt(task: () => void): void {
  try {
    task()
  } catch {
    // as said where it is called
  }
}

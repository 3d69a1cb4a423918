import { z } from 'zod'
import type { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical, MalformedError } from '../../protocols/codec.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Channel, ProtocolOptions } from '../ports/peer-network.ts'
import { hostOf, isPublic } from './addresses.ts'

export const DIAL_BACK_PROTOCOL = '/rookery/dial-back/1'

const ADDRESSES_MAX = 4
const FRAME_BYTES_MAX = 4096
/** The other side may wait four seconds for our packets to be swallowed. */
const ANSWER_MS = 10_000
/** A member is asked at most this often: what it says of us does not change from one connection to the next. */
const ASK_AGAIN_MS = 60_000
/** Members, and addresses they see us at, that are kept in mind. */
const SEEN_MAX = 64

export const DIAL_BACK_OPTIONS: ProtocolOptions = {
  policy: { who: 'member' },
  frameBytesMax: FRAME_BYTES_MAX,
  channelsPerPeerMax: 1,
}

const Addresses = z.object({ v: z.int().min(1), addresses: z.array(z.string().max(256)).max(ADDRESSES_MAX) })

export const encodeAddresses = (addresses: readonly string[]): Uint8Array =>
  encodeCanonical({ v: 1, addresses: addresses.slice(0, ADDRESSES_MAX) })

/** @throws MalformedError when the peer says something else */
export async function readAddresses(channel: Channel): Promise<string[]> {
  for await (const frame of channel.frames) return decodeCanonical(Addresses, frame, FRAME_BYTES_MAX).addresses
  throw new MalformedError('the peer hung up without saying where')
}

export type ReachabilityDeps = {
  readonly clock: Clock
  readonly log: Log
  readonly open: (peer: PeerId, signal: AbortSignal) => Promise<Channel>
  /** Where this node listens. */
  readonly listening: () => readonly string[]
  /** Of the addresses a member gave, those that may be dialled on its word and under which it answered. */
  readonly dialBack: (peer: PeerId, addresses: readonly string[]) => Promise<string[]>
  /** Members reach this node at other public addresses than before. */
  readonly onChange: () => void
}

/**
 * Finds out at which public addresses this node can be reached, by asking members to dial it there. libp2p's AutoNAT asks
 * for the same, but believes it only from eight networks (four for addresses that others see), which a mesh of friends
 * seldom spans.
 */
export class Reachability {
  readonly #deps: ReachabilityDeps
  readonly #askedMs = new Map<PeerId, number>()
  /** Hosts that members see this node at. */
  readonly #seenAt = new Set<string>()
  #proven: readonly string[] = []

  constructor(deps: ReachabilityDeps) {
    this.#deps = deps
  }

  /** Public addresses that a member has dialled successfully. */
  get proven(): readonly string[] {
    return this.#proven
  }

  /** The network has changed: nothing is known any more. */
  startOver(): void {
    this.#askedMs.clear()
    this.#seenAt.clear()
    this.#set([])
  }

  /** A member sees this node at that address: asks it to dial there, unless that is known. */
  async seen(peer: PeerId, observed: string | undefined): Promise<void> {
    const host = observed === undefined ? undefined : hostOf(observed)
    if (host !== undefined && isPublic(host) && this.#seenAt.size < SEEN_MAX) this.#seenAt.add(host)
    const { clock } = this.#deps
    const candidates = this.#candidates()
    const isAsked = clock.monoMs() - (this.#askedMs.get(peer) ?? -Infinity) < ASK_AGAIN_MS
    if (this.#proven.length > 0 || candidates.length === 0 || isAsked || this.#askedMs.size >= SEEN_MAX) return
    this.#askedMs.set(peer, clock.monoMs())
    const reached = await this.#ask(peer, candidates)
    if (reached.length === 0 || this.#proven.length > 0) return
    this.#set(reached)
  }

  /** The other side: dials whoever asks, and nobody else. */
  async serve(channel: Channel): Promise<void> {
    const addresses = await readAddresses(channel)
    await channel.send(encodeAddresses(await this.#deps.dialBack(channel.peer, addresses)))
  }

  /** What we listen at, and the same ports where our NAT is seen: they may be forwarded. */
  #candidates(): string[] {
    const listening = this.#deps.listening()
    const forwarded = [...this.#seenAt].flatMap((host) =>
      listening.map((address) => `/ip${host.includes(':') ? 6 : 4}/${host}${/\/tcp\/\d+/.exec(address)?.[0] ?? ''}`),
    )
    const all = new Set([...listening, ...forwarded])
    return [...all].filter((address) => isPublic(hostOf(address) ?? '')).slice(0, ADDRESSES_MAX)
  }

  async #ask(peer: PeerId, candidates: readonly string[]): Promise<string[]> {
    const giveUp = new AbortController()
    const cancel = this.#deps.clock.after(ANSWER_MS, () => giveUp.abort(new Error('no answer in time')))
    try {
      const channel = await this.#deps.open(peer, giveUp.signal)
      const abort = (): void => channel.abort(new Error('no answer in time'))
      giveUp.signal.addEventListener('abort', abort, { once: true })
      await channel.send(encodeAddresses(candidates))
      const reached = await readAddresses(channel)
      await channel.close()
      return candidates.filter((address) => reached.includes(address))
    } catch (error) {
      this.#deps.log.debug({ peer, error: String(error) }, 'no answer to whether this node can be reached')
      return []
    } finally {
      cancel()
    }
  }

  #set(proven: readonly string[]): void {
    if (proven.join() === this.#proven.join()) return
    this.#proven = proven
    this.#deps.onChange()
  }
}

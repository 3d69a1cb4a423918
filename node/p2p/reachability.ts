import { isIP } from 'node:net'
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
/** For one member others are dialled this often: it asks once a minute, and anew when its network changes. */
const SERVE_AGAIN_MS = 4000
/** Members whose answers, and views of this node, are kept in mind. */
const MEMBERS_MAX = 64

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
  /** Where each member sees this node, who said so last at the end. */
  readonly #seenAt = new Map<PeerId, string>()
  readonly #servedMs = new Map<PeerId, number>()
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

  /**
   * A member sees this node at that address: asks it to dial there, unless that is known. Elsewhere than where others have
   * reached this node, the provider may have given the router another address, which its own interfaces do not show.
   */
  async seen(peer: PeerId, observed: string | undefined): Promise<void> {
    const host = observed === undefined ? undefined : hostOf(observed)
    if (host !== undefined && isPublic(host)) keepLast(this.#seenAt, peer, host)
    const { clock } = this.#deps
    const isKnown = (): boolean => this.#proven.length > 0 && !this.#isElsewhere(host)
    const candidates = this.#candidates()
    const isAsked = clock.monoMs() - (this.#askedMs.get(peer) ?? -Infinity) < ASK_AGAIN_MS
    if (isKnown() || candidates.length === 0 || isAsked) return
    keepLast(this.#askedMs, peer, clock.monoMs())
    const reached = await this.#ask(peer, candidates)
    if (reached.length === 0 || isKnown()) return
    this.#set(reached)
  }

  /** The other side: dials whoever asks, seldom: the addresses are its word, and may be those of somebody else. */
  async serve(channel: Channel): Promise<void> {
    const addresses = await readAddresses(channel)
    const nowMs = this.#deps.clock.monoMs()
    if (nowMs - (this.#servedMs.get(channel.peer) ?? -Infinity) < SERVE_AGAIN_MS)
      throw new Error('asks to be dialled back too often')
    keepLast(this.#servedMs, channel.peer, nowMs)
    await channel.send(encodeAddresses(await this.#deps.dialBack(channel.peer, addresses)))
  }

  /** Of the same kind as an address where this node was reached, and another one. */
  #isElsewhere(host: string | undefined): boolean {
    if (host === undefined || !isPublic(host)) return false
    const proven = this.#proven.map((address) => hostOf(address) ?? '')
    return proven.some((known) => isIP(known) === isIP(host)) && !proven.includes(host)
  }

  /** The ports we listen at where our NAT was seen last, which may be forwarded, and what we listen at. */
  #candidates(): string[] {
    const listening = this.#deps.listening()
    const forwarded = [...this.#seenAt.values()]
      .toReversed()
      .flatMap((host) => listening.map((address) => `/ip${isIP(host)}/${host}${/\/tcp\/\d+/.exec(address)?.[0] ?? ''}`))
    const all = new Set([...forwarded, ...listening])
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

/** As the last one; of too many the first ones go. */
function keepLast<Value>(map: Map<PeerId, Value>, peer: PeerId, value: Value): void {
  map.delete(peer)
  map.set(peer, value)
  for (const first of map.keys()) {
    if (map.size <= MEMBERS_MAX) return
    map.delete(first)
  }
}

import type { Connection } from '@libp2p/interface'
import type { PeerId } from '../../crdt/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { FailedTry } from '../ports/peer-ways.ts'
import { relayOf } from './addresses.ts'
import { plainReason, TooLateError } from './plain-reason.ts'

/** A host that is off swallows packets: no answer within this time is none. */
const ADDRESS_MS = 4000
/** An address that has not answered by then is not waited for before the next one is tried. */
const NEXT_ADDRESS_MS = 750
/** A direct way is better, so it gets this much of a start over the way through a relay. */
const RELAY_AFTER_MS = 1000
/** Through a relay: it asks the other side, and then both shake hands. */
const RELAYED_MS = 10_000
/** Failures kept of one peer: as many as it has addresses in the book. */
const ATTEMPTS_MAX = 12

export type ConnectorDeps = {
  readonly self: PeerId
  readonly clock: Clock
  /** Connects under one address; may be given addresses that cannot be dialled. */
  readonly dial: (address: string, signal: AbortSignal) => Promise<unknown>
  readonly dialThrough: (peer: PeerId, relay: Connection, signal: AbortSignal) => Promise<unknown>
  /** The connection to a relay, when there is a direct one. */
  readonly relay: (peer: PeerId) => Connection | undefined
}

/** Tries the addresses of a peer, and remembers why each of them failed. */
export class Connector {
  readonly #deps: ConnectorDeps
  readonly #attempts = new Map<PeerId, Map<string, FailedTry>>()

  constructor(deps: ConnectorDeps) {
    this.#deps = deps
  }

  /** Last failures, by address; none of addresses that worked since. */
  attempts(peer: PeerId): readonly FailedTry[] {
    return [...(this.#attempts.get(peer)?.values() ?? [])]
  }

  forget(peer: PeerId): void {
    this.#attempts.delete(peer)
  }

  /**
   * Directly if possible: a way through a relay is tried too when the direct ones have not worked within a second, and
   * whatever works first is taken. A direct connection that comes later stays as well. Rejects if nothing works.
   */
  async connect(peer: PeerId, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const direct = this.direct(peer, addresses, signal)
    const relays = addresses.flatMap((address) => {
      const relay = relayOf(address)
      return relay === undefined || relay === this.#deps.self ? [] : [{ address, relay }]
    })
    if (relays.length === 0) return await direct
    const relayed = this.#unlessSoon(direct, signal).then((isNeeded) => {
      if (isNeeded) return this.#relayed(peer, relays, signal)
      throw new Error('no relay is needed')
    })
    await Promise.any([direct, relayed])
  }

  /** Tries the addresses that need no relay, best first, the next one whenever one takes its time. */
  async direct(peer: PeerId, addresses: readonly string[], signal: AbortSignal): Promise<void> {
    const usable = addresses.filter((address) => relayOf(address) === undefined)
    if (usable.length === 0) throw new Error(`no address of ${peer} is known`)
    const done = new AbortController()
    const ended = AbortSignal.any([signal, done.signal])
    const tries: Promise<void>[] = []
    const errors: unknown[] = []
    for (const address of usable) {
      if (ended.aborted) break
      const attempt = this.#try(peer, address, ended)
      tries.push(attempt)
      attempt.then(
        () => done.abort(new Error('another address was faster')),
        (error: unknown) => errors.push(error),
      )
      await Promise.race([attempt.catch(() => undefined), this.#pause(NEXT_ADDRESS_MS)])
    }
    await Promise.any(tries)
  }

  async #try(peer: PeerId, address: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#within(ADDRESS_MS, signal, (limit) => this.#deps.dial(`${address}/p2p/${peer}`, limit))
      this.#attempts.get(peer)?.delete(address)
    } catch (error) {
      if (!signal.aborted) this.#remember(peer, address, error)
      throw error
    }
  }

  async #relayed(
    peer: PeerId,
    relays: readonly { address: string; relay: PeerId }[],
    signal: AbortSignal,
  ): Promise<void> {
    let last: unknown = new Error('no way through a relay is known')
    for (const { address, relay } of relays) {
      signal.throwIfAborted()
      const connection = this.#deps.relay(relay)
      try {
        if (connection === undefined) throw new Error('not connected to the relay')
        await this.#within(RELAYED_MS, signal, (limit) => this.#deps.dialThrough(peer, connection, limit))
        this.#attempts.get(peer)?.delete(address)
        return
      } catch (error) {
        this.#remember(peer, address, error)
        last = error
      }
    }
    throw last
  }

  #remember(peer: PeerId, address: string, error: unknown): void {
    const attempts = this.#attempts.get(peer) ?? new Map<string, FailedTry>()
    this.#attempts.set(peer, attempts)
    attempts.delete(address)
    attempts.set(address, { address, error: plainReason(error), wallMs: this.#deps.clock.wallMs() })
    const [oldest] = attempts.keys()
    if (attempts.size > ATTEMPTS_MAX && oldest !== undefined) attempts.delete(oldest)
  }

  /** False when the direct way works within its start. */
  async #unlessSoon(direct: Promise<void>, signal: AbortSignal): Promise<boolean> {
    let isConnected = false
    const settled = direct.then(
      () => void (isConnected = true),
      () => undefined,
    )
    await Promise.race([settled, this.#pause(RELAY_AFTER_MS)])
    signal.throwIfAborted()
    return !isConnected
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#deps.clock.after(ms, resolve))
  }

  /** The signal that is handed on is the socket's for life: it is let go of once there is a connection. */
  async #within<T>(ms: number, signal: AbortSignal, work: (limit: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const limit = new AbortController()
    const onAbort = (): void => limit.abort(signal.reason)
    const cancel = this.#deps.clock.after(ms, () => limit.abort(new TooLateError(`no answer within ${ms / 1000} s`)))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await work(limit.signal)
    } catch (error) {
      throw limit.signal.aborted ? limit.signal.reason : error
    } finally {
      cancel()
      signal.removeEventListener('abort', onAbort)
    }
  }
}

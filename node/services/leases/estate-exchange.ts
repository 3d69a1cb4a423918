import type { PeerId } from '../../../crdt/ids.ts'
import { MalformedError, toHex } from '../../../protocols/codec.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { SealVote } from '../../../protocols/lease/ballot.ts'
import { unpackEstate, type Estate, type PackedEstate } from '../../../protocols/lease/estate.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import type { Clock } from '../../ports/clock.ts'
import { timerMs } from './lease-claims.ts'

export type ExchangeDeps = {
  readonly sha256: Crypto['sha256']
  readonly clock: Clock
  readonly retryMs: number
  readonly send: (to: readonly PeerId[], message: LeaseMessage) => void
}

type Page = Extract<LeaseMessage, { t: 'page' }>['m']

/**
 * Brings what voters left behind when they sealed an epoch. It is named by its hash, so it may come from anybody who has
 * it: the voter itself, or a successor or proposer that fetched it before.
 */
export class EstateExchange {
  readonly #deps: ExchangeDeps
  /** By hash and page, whoever waits for it. */
  readonly #waiting = new Map<string, Set<(bytes: Uint8Array) => void>>()

  constructor(deps: ExchangeDeps) {
    this.#deps = deps
  }

  receive({ estate, page, bytes }: Page): void {
    for (const take of this.#waiting.get(pageKey(estate, page)) ?? []) take(bytes)
  }

  /** Asks the sources in turn until it has everything or `signal` aborts; then undefined. */
  async fetch(
    { estate: hash, pages: count }: SealVote,
    from: readonly PeerId[],
    signal: AbortSignal,
  ): Promise<{ packed: PackedEstate; estate: Estate } | undefined> {
    // A source whose pages were not what was sealed is asked last from then on, and not at once.
    for (let sources = from; !signal.aborted; sources = [...sources.slice(1), ...sources.slice(0, 1)]) {
      const pages: Uint8Array[] = []
      while (pages.length < count && !signal.aborted) {
        const bytes = await this.#page({ estate: hash, page: pages.length }, sources, signal)
        if (bytes) pages.push(bytes)
      }
      const packed = { hash, pages }
      const estate = pages.length === count ? this.#read(packed) : undefined
      if (estate) return { packed, estate }
      if (!signal.aborted) await this.#pause(signal)
    }
    return undefined
  }

  async #page(
    wanted: { estate: Uint8Array; page: number },
    sources: readonly PeerId[],
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    for (const source of sources) {
      if (signal.aborted) return undefined
      const bytes = await this.#ask(wanted, source, signal)
      if (bytes) return bytes
    }
    return undefined
  }

  #ask(
    wanted: { estate: Uint8Array; page: number },
    source: PeerId,
    signal: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const { clock, retryMs, send } = this.#deps
    return new Promise((resolve) => {
      const key = pageKey(wanted.estate, wanted.page)
      // Voters that promised nothing leave the same estate.
      const waiting = this.#waiting.get(key) ?? new Set()
      const conclude = (bytes?: Uint8Array): void => {
        cancel()
        signal.removeEventListener('abort', giveUp)
        waiting.delete(conclude)
        if (waiting.size === 0) this.#waiting.delete(key)
        resolve(bytes)
      }
      const giveUp = (): void => conclude()
      const cancel = clock.after(timerMs(retryMs), giveUp)
      signal.addEventListener('abort', giveUp)
      this.#waiting.set(key, waiting.add(conclude))
      send([source], { t: 'pull', m: wanted })
    })
  }

  #pause(signal: AbortSignal): Promise<void> {
    const { clock, retryMs } = this.#deps
    return new Promise((resolve) => {
      const end = (): void => {
        cancel()
        signal.removeEventListener('abort', end)
        resolve()
      }
      const cancel = clock.after(timerMs(retryMs), end)
      signal.addEventListener('abort', end)
    })
  }

  /** Pages that do not add up to what was sealed are asked for again. */
  #read(packed: PackedEstate): Estate | undefined {
    try {
      return unpackEstate(this.#deps.sha256, packed)
    } catch (error) {
      if (error instanceof MalformedError) return undefined
      throw error
    }
  }
}

const pageKey = (estate: Uint8Array, page: number): string => `${toHex(estate)} ${page}`

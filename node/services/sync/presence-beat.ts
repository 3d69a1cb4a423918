import { z } from 'zod'
import { decodeCanonical, encodeCanonical } from '../../../protocols/codec.ts'
import { LEASES_PER_OWNER_MAX } from '../../../protocols/lease/messages.ts'
import { signHeartbeat, type Heartbeat } from '../../../protocols/presence.ts'
import { every, type Cancel } from '../../ports/clock.ts'
import type { FeedStore } from '../../ports/feed-store.ts'
import type { PresenceDeps } from './presence-service.ts'

/** The fact that counts them. */
export const BOOT_FACT = 'presence.boot'
const BOOT_FACT_BYTES_MAX = 16
/** Sent heartbeats whose echo is still welcome. */
const ECHOES_MAX = 8

/** Says regularly that this node is alive. */
export class Heart {
  readonly #deps: PresenceDeps
  readonly #periodMs: () => number
  readonly #listeners = new Set<(beat: Uint8Array) => void>()
  readonly #sent = new Map<number, number>()
  #boot = 0
  #counter = 0
  #latest: Uint8Array | undefined
  #cancel: Cancel = () => undefined

  constructor(deps: PresenceDeps, periodMs: () => number) {
    this.#deps = deps
    this.#periodMs = periodMs
  }

  /** 0 before the start. */
  get boot(): number {
    return this.#boot
  }

  /** The last heartbeat, unless it was a goodbye. */
  get latest(): Uint8Array | undefined {
    return this.#latest
  }

  onBeat(listener: (beat: Uint8Array) => void): Cancel {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async start(): Promise<void> {
    this.#boot = await nextBoot(this.#deps.store)
    this.beat()
  }

  /** Now, and then every period. Nothing before `start`. */
  beat(): void {
    this.#cancel()
    if (this.#boot === 0) return
    this.#latest = this.#say('beat')
    // Begun anew each time: the period grows with the mesh.
    this.#cancel = every(this.#deps.clock, this.#periodMs(), () => this.beat())
  }

  /** Says goodbye, once. */
  rest(kind: 'bye' | 'sleep'): void {
    this.#cancel()
    if (this.#latest !== undefined) this.#say(kind)
    this.#latest = undefined
  }

  /** When the heartbeat that is echoed was sent. */
  sentMs(echo: { boot: number; counter: number }): number | undefined {
    return echo.boot === this.#boot ? this.#sent.get(echo.counter) : undefined
  }

  #say(kind: Heartbeat['kind']): Uint8Array {
    const { crypto, signer, mesh, clock, leases, sessions } = this.#deps
    const counter = ++this.#counter
    this.#sent.set(counter, clock.monoMs())
    this.#sent.delete(counter - ECHOES_MAX)
    const beat = signHeartbeat(crypto, signer, {
      v: 1,
      mesh,
      peer: signer.peer,
      boot: this.#boot,
      counter,
      at: Math.max(0, Math.floor(clock.wallMs())),
      kind,
      leases: leases().slice(0, LEASES_PER_OWNER_MAX),
      load: { sessions: sessions() },
    })
    for (const listener of this.#listeners) listener(beat)
    return beat
  }
}

/** Counts the starts of this node; durable before it is used, so that no (boot, counter) is ever used twice. */
async function nextBoot(store: Pick<FeedStore, 'getFact' | 'putFact'>): Promise<number> {
  const stored = await store.getFact(BOOT_FACT)
  const last = stored === undefined ? 0 : decodeCanonical(z.int().min(0), stored, BOOT_FACT_BYTES_MAX)
  await store.putFact(BOOT_FACT, encodeCanonical(last + 1))
  return last + 1
}

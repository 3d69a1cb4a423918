import nacl from 'tweetnacl'
import { domainError, invalidField, type DomainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { equalBytes, toHex } from '../../../protocols/codec.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import {
  PAIRING_CODE,
  PAIRING_CODE_BYTES,
  PAIRING_MS,
  PAIRING_NONCE_BYTES,
  pairingCode,
  pairingCommitment,
  pairingDigest,
} from '../../../protocols/pairing.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'
import { createRateLimiter, type RateLimiter } from '../rate-limit.ts'
import type { PairedMachine, PairingOpened, PairingProgress, PairingRequest, PairingSecret } from './pairing.ts'

/** People pair a few machines at a time; strangers must not fill our memory, nor a person's list. */
export const OPEN_MAX = 20
/** A rack of machines behind one address may be paired together, and still leave room for others. */
export const OPEN_PER_ADDRESS_MAX = 10
/** Wrong tokens and wrong words per pairing: whoever has the right ones does not try. */
export const WRONG_TRIES_MAX = 3
/** Codes that nobody has, over all who ask: of 880 million, this finds none within the five minutes of a pairing. */
const GUESSES = { count: 30, perMs: 10 * 60_000, keysMax: 1 } as const
/** What became of a pairing is told for so long after its end. */
const ENDED_KEPT_MS = 10 * 60_000
/** Of pairings that are over; a stranger can make one every few seconds. */
const ENDED_KEPT_MAX = 200

type Phase = 'pending' | 'completing' | 'completed' | 'expired' | 'refused'

/** One pairing. Only the book changes it. */
export type Pairing = {
  readonly code: string
  readonly request: PairingRequest
  readonly address: string
  readonly expiresAtMs: number
  readonly gateway: PairingOpened['gateway']
  readonly phase: Phase
  /** What a person compares; undefined for an agent, and until a node has opened its nonce. */
  readonly words: string | undefined
}

type Entry = { -readonly [K in keyof Pairing]: Pairing[K] } & {
  readonly tokenHash: Uint8Array
  /** On the clock that counts suspension. */
  readonly expiresAtBootMs: number
  wrongTries: number
  /** Why it was refused, where there is more to say. */
  refusal?: string
  completed?: { readonly machine: PairedMachine; readonly allowLegacy: boolean; readonly completedAt: string }
  secret?: PairingSecret
  cancelTimer: Cancel
  /** Lets the poll that waits look again. There is one at most: a newer one takes its place. */
  wake: () => void
}

export type PairingBookDeps = {
  readonly crypto: Crypto
  readonly clock: Clock
  readonly random: Random
  /** This gateway's part in the words, but for the nonce. */
  readonly gateway: () => Omit<NonNullable<PairingOpened['gateway']>, 'nonce'>
  readonly wordsOf: (digest: Uint8Array) => string
  /** Another pairing waits, or one fewer. */
  readonly onChange: () => void
}

/**
 * The pairings that were started at this gateway, in memory: they last five minutes, and a machine whose gateway was
 * restarted starts anew. All decisions are made in one go, so that of parallel ones exactly one counts.
 */
export class PairingBook {
  readonly #deps: PairingBookDeps
  readonly #entries = new Map<string, Entry>()
  readonly #guesses: RateLimiter
  /** Until then, codes without a token are not even looked up. */
  #guessedUntilMs = 0
  #isStopped = false

  constructor(deps: PairingBookDeps) {
    this.#deps = deps
    this.#guesses = createRateLimiter(deps.clock, GUESSES)
  }

  open(request: PairingRequest, address: string): Result<PairingOpened> {
    const { clock, random, crypto } = this.#deps
    const refusal = this.#refusalToOpen(request.code, address)
    if (refusal) return err(refusal)
    const code = request.code ?? this.#freeCode()
    const token = `pair_${toHex(random.bytes(32))}`
    const gateway = request.node && { ...this.#deps.gateway(), nonce: random.bytes(PAIRING_NONCE_BYTES).slice() }
    const entry: Entry = {
      code,
      request,
      address,
      gateway,
      phase: 'pending',
      words: undefined,
      tokenHash: digest(crypto, token),
      expiresAtMs: clock.wallMs() + PAIRING_MS,
      expiresAtBootMs: clock.bootMs() + PAIRING_MS,
      wrongTries: 0,
      cancelTimer: clock.after(PAIRING_MS, () => this.#look(entry)),
      wake: () => undefined,
    }
    // The last one of this code may be over: the map is ordered by start.
    this.#forget(code)
    this.#entries.set(code, entry)
    this.#forgetOldest()
    this.#deps.onChange()
    return ok({ code, token, expiresAt: iso(entry.expiresAtMs), ...(gateway && { gateway }) })
  }

  reveal(code: string, token: string | undefined, nonce: Uint8Array): Result<null> {
    const found = this.#ofInitiator(code, token)
    if (!found.ok) return found
    const entry = found.value
    const { crypto, wordsOf } = this.#deps
    const { node } = entry.request
    if (!node || !entry.gateway) return err(invalidField('nonce', 'This pairing has no keys to compare.'))
    if (!equalBytes(pairingCommitment(crypto, node, nonce), node.commitment)) {
      this.#wrongTry(entry)
      return err(invalidField('nonce', 'This is not what the machine has committed to.'))
    }
    if (entry.words !== undefined) return ok(null)
    entry.words = wordsOf(pairingDigest(crypto, { code, machine: node, nonce, gateway: entry.gateway }))
    this.#deps.onChange()
    return ok(null)
  }

  async poll(code: string, token: string | undefined, waitMs: number): Promise<Result<PairingProgress>> {
    const found = this.#find(code, token)
    if (!found.ok) return found
    const { entry, isInitiator } = found.value
    if (isInitiator && waitMs > 0 && isOpen(entry.phase)) await this.#changed(entry, waitMs)
    return this.#progress(entry, isInitiator)
  }

  cancel(code: string, token: string | undefined): Result<null> {
    const found = this.#ofInitiator(code, token)
    if (!found.ok) return found
    this.#refuse(found.value, 'The machine has given up.')
    return ok(null)
  }

  /** Those that wait, the oldest first. */
  pending(): readonly Pairing[] {
    return [...this.#entries.values()].filter((entry) => this.#look(entry) === 'pending')
  }

  /** A pairing that can be completed or refused. @errors pairing_not_found, pairing_expired, pairing_completed, pairing_refused */
  find(code: string): Result<Pairing> {
    const entry = this.#entries.get(code)
    return entry ? this.#stillOpen(entry) : err(domainError('pairing_not_found'))
  }

  /** Whether this gateway knows the code. */
  stateOf(code: string): 'unknown' | 'pending' | 'over' {
    const entry = this.#entries.get(code)
    if (!entry) return 'unknown'
    return this.#look(entry) === 'pending' ? 'pending' : 'over'
  }

  /** Nobody else can complete it from here on, until `settle`. */
  begin(pairing: Pairing): void {
    const entry = this.#entryOf(pairing)
    if (entry.phase !== 'pending') throw new Error('only a pairing that waits can be completed')
    entry.phase = 'completing'
    entry.cancelTimer()
  }

  /** Nothing was done after all: it waits again, as long as it would have. */
  abandon(pairing: Pairing): void {
    const entry = this.#entryOf(pairing)
    entry.phase = 'pending'
    const leftMs = Math.max(0, entry.expiresAtBootMs - this.#deps.clock.bootMs())
    entry.cancelTimer = this.#deps.clock.after(leftMs, () => this.#look(entry))
  }

  settle(
    pairing: Pairing,
    { machine, secret, allowLegacy }: { machine: PairedMachine; secret: PairingSecret; allowLegacy: boolean },
  ): { completedAt: string } {
    const entry = this.#entryOf(pairing)
    const completedAt = iso(this.#deps.clock.wallMs())
    entry.completed = { machine, allowLegacy, completedAt }
    entry.secret = secret
    this.#end(entry, 'completed')
    // Time to fetch it, however late the pairing was completed.
    entry.cancelTimer = this.#deps.clock.after(PAIRING_MS, () => {
      delete entry.secret
      this.#keepAWhile(entry)
    })
    return { completedAt }
  }

  refuse(pairing: Pairing): void {
    this.#refuse(this.#entryOf(pairing))
  }

  /** What was said of this pairing is wrong: after some of these it is over. */
  wrongTry(pairing: Pairing): void {
    this.#wrongTry(this.#entryOf(pairing))
  }

  /** Polls that wait are answered, and nothing is remembered. */
  stop(): void {
    this.#isStopped = true
    for (const entry of this.#entries.values()) {
      entry.cancelTimer()
      entry.wake()
    }
    this.#entries.clear()
  }

  #refusalToOpen(code: string | undefined, address: string): DomainError | undefined {
    if (code !== undefined && this.stateOf(code) !== 'unknown') return domainError('pairing_code_taken')
    const open = this.pending()
    const fromThere = open.filter((pairing) => pairing.address === address)
    const tooMany = fromThere.length >= OPEN_PER_ADDRESS_MAX ? fromThere : open.length >= OPEN_MAX ? open : undefined
    if (tooMany === undefined) return undefined
    const retryAfterMs = Math.max(1, (tooMany[0]?.expiresAtMs ?? 0) - this.#deps.clock.wallMs())
    const message = `${tooMany.length} machines wait to be paired already. Complete or refuse them, or try again later.`
    return domainError('rate_limited', { message, details: { retryAfterMs } })
  }

  #freeCode(): string {
    for (;;) {
      const code = pairingCode(this.#deps.random.bytes(PAIRING_CODE_BYTES))
      if (!this.#entries.has(code)) return code
    }
  }

  #find(code: string, token: string | undefined): Result<{ entry: Entry; isInitiator: boolean }> {
    const { clock, crypto } = this.#deps
    const entry = this.#entries.get(code)
    const isInitiator =
      entry !== undefined && token !== undefined && nacl.verify(entry.tokenHash, digest(crypto, token))
    if (entry && isInitiator) return ok({ entry, isInitiator })
    const guessedMs = this.#guessedUntilMs - clock.monoMs()
    if (guessedMs > 0) return err(domainError('rate_limited', { details: { retryAfterMs: Math.ceil(guessedMs) } }))
    if (entry && token === undefined) return ok({ entry, isInitiator })
    if (entry) this.#wrongTry(entry)
    if (PAIRING_CODE.test(code)) this.#guessedUntilMs = clock.monoMs() + (this.#guesses.take('') ?? 0)
    return err(domainError('pairing_not_found'))
  }

  #ofInitiator(code: string, token: string | undefined): Result<Entry> {
    const found = this.#find(code, token)
    if (!found.ok) return found
    return found.value.isInitiator ? this.#stillOpen(found.value.entry) : err(domainError('pairing_not_found'))
  }

  #stillOpen(entry: Entry): Result<Entry> {
    const phase = this.#look(entry)
    if (phase === 'pending') return ok(entry)
    return err(phase === 'expired' || phase === 'refused' ? refusalOf(entry) : domainError('pairing_completed'))
  }

  #progress(entry: Entry, isInitiator: boolean): Result<PairingProgress> {
    const phase = this.#look(entry)
    if (isOpen(phase)) return ok({ status: 'pending', expiresAt: iso(entry.expiresAtMs) })
    const { completed } = entry
    if (!completed) return err(refusalOf(entry))
    const secret = isInitiator || completed.allowLegacy ? entry.secret : undefined
    if (secret) delete entry.secret
    return ok({ status: 'completed', machineId: completed.machine.id, secret: secret ?? null })
  }

  /** The phase it is in by now. */
  #look(entry: Entry): Phase {
    if (entry.phase === 'pending' && entry.expiresAtBootMs <= this.#deps.clock.bootMs()) this.#end(entry, 'expired')
    return entry.phase
  }

  #refuse(entry: Entry, why?: string): void {
    if (why !== undefined) entry.refusal = why
    this.#end(entry, 'refused')
  }

  #wrongTry(entry: Entry): void {
    if (entry.phase === 'pending' && ++entry.wrongTries >= WRONG_TRIES_MAX)
      this.#refuse(entry, 'Too many wrong tries were made at this pairing. Start anew on the machine.')
  }

  #end(entry: Entry, phase: 'completed' | 'expired' | 'refused'): void {
    entry.phase = phase
    entry.cancelTimer()
    this.#keepAWhile(entry)
    entry.wake()
    this.#deps.onChange()
  }

  #keepAWhile(entry: Entry): void {
    entry.cancelTimer = this.#deps.clock.after(ENDED_KEPT_MS, () => {
      if (this.#entries.get(entry.code) === entry) this.#forget(entry.code)
    })
  }

  #forget(code: string): void {
    this.#entries.get(code)?.cancelTimer()
    this.#entries.delete(code)
  }

  #forgetOldest(): void {
    const over = [...this.#entries.values()].filter(({ phase }) => !isOpen(phase))
    for (const { code } of over.slice(0, Math.max(0, over.length - ENDED_KEPT_MAX))) this.#forget(code)
  }

  /** Resolves when the pairing is over, when the time has run out, or when a newer poll waits. */
  async #changed(entry: Entry, waitMs: number): Promise<void> {
    if (this.#isStopped) return
    const { promise, resolve } = Promise.withResolvers<void>()
    entry.wake()
    entry.wake = resolve
    const cancel = this.#deps.clock.after(waitMs, resolve)
    await promise
    cancel()
  }

  #entryOf({ code }: Pairing): Entry {
    const entry = this.#entries.get(code)
    if (!entry) throw new Error('the pairing is forgotten')
    return entry
  }
}

const isOpen = (phase: Phase): boolean => phase === 'pending' || phase === 'completing'

const refusalOf = ({ phase, refusal }: Entry): DomainError =>
  phase === 'expired'
    ? domainError('pairing_expired')
    : domainError('pairing_refused', refusal === undefined ? {} : { message: refusal })

const digest = (crypto: Crypto, text: string): Uint8Array => crypto.sha256(new TextEncoder().encode(text))
const iso = (ms: number): string => new Date(ms).toISOString()

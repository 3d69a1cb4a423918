import type * as Y from 'yjs'
import { sealedKeys, sealedRecords } from '../../../crdt/account-document.ts'
import { AccountIndex } from '../../../crdt/account-index.ts'
import { recordName, type AccountRecord, type RecordName } from '../../../crdt/account-records.ts'
import type { Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { accountsDoc, type PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Random } from '../../ports/random.ts'
import { openRecord, sealRecord, type Opened } from './account-cipher.ts'
import {
  currentKey,
  gatewaysOf,
  hasNoKeys,
  makeKey,
  makerOf,
  missingSeals,
  needsRotation,
  openKeys,
  sealKey,
  type HeldKey,
  type KeySealer,
} from './account-keys.ts'
import type { Documents, FeedPosition } from '../feeds/documents.ts'
import { written } from '../written.ts'

/** Some 80 kB: one envelope carries at most 256 kB. */
const RECORDS_PER_WRITE_MAX = 200
/** Some 20 kB, for the same reason. */
const SEALS_PER_WRITE_MAX = 100
/** How much longer each less senior gateway waits before it does a chore that the ones before it left undone. */
const TURN_MS = 30_000
const RETRY_MS = 30_000

export const ACCOUNTS_KEY_MISSING = domainError('internal', {
  message:
    'This gateway has not received the key of the accounts yet. It comes from another gateway as soon as one is connected.',
})

const NO_GATEWAY = domainError('forbidden', { message: 'This node may not serve users (any more).' })

/** The membership as it is now, and a call after every change of it. */
export type MembershipSource = { current(): Membership; onChange(listener: () => void): Cancel }

export type SealedAccountsDeps = {
  readonly self: PeerId
  readonly documents: Documents
  readonly membership: MembershipSource
  /** X25519 secret key whose public half the membership log names. */
  readonly boxSecretKey: Uint8Array
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export type AccountChanges<T> = {
  readonly set?: readonly AccountRecord[]
  readonly remove?: readonly RecordName[]
  readonly value: T
}

/** The accounts document, decrypted in memory. Only ciphertext and record ids ever leave this. */
export type SealedAccounts = {
  readonly index: AccountIndex
  /** False until a gateway that has the accounts key has sealed it for this node, and on a node that is no gateway. */
  isOpen(): boolean
  /**
   * Decides on the newest state and writes what was decided, in one step on this node.
   * @errors internal (no key yet), forbidden (no gateway any more), storage_failed, and whatever `decide` answers
   */
  change<T>(
    actor: Actor | undefined,
    decide: (index: AccountIndex) => Result<AccountChanges<T>>,
  ): Promise<Result<{ value: T; position: FeedPosition }>>
  /** Called after records or the membership have changed, wherever that was done. */
  onChange(listener: () => void): Cancel
  stop(): void
}

/**
 * Opens the accounts. The founder makes the first key; every gateway that holds a key hands it on to new gateways, and
 * replaces it when one has left.
 */
export async function openSealedAccounts(deps: SealedAccountsDeps): Promise<SealedAccounts> {
  const accounts = new Accounts(deps)
  await accounts.start()
  return accounts
}

type Seen = { readonly value: unknown; readonly opened: Opened }
type Chore = (state: Y.Doc) => void

class Accounts implements SealedAccounts {
  readonly index = new AccountIndex()
  readonly #deps: SealedAccountsDeps
  readonly #sealer: KeySealer
  readonly #ring = new Map<string, HeldKey>()
  readonly #seen = new Map<string, Seen>()
  readonly #listeners = new Set<() => void>()
  readonly #cancels: Cancel[] = []
  #hasNews = false
  #isTending = false
  #isStopped = false
  #noticed: { readonly chore: string; readonly atMs: number } | undefined
  #cancelTurn: Cancel = () => undefined

  constructor(deps: SealedAccountsDeps) {
    this.#deps = deps
    this.#sealer = { self: deps.self, boxSecretKey: deps.boxSecretKey, random: deps.random }
  }

  async start(): Promise<void> {
    const { documents, membership } = this.#deps
    const look = (state: Y.Doc): void => {
      this.#refresh(state)
      this.#announce()
      void this.#tend()
    }
    this.#cancels.push(await documents.open(accountsDoc, (_, state) => look(state)))
    this.#cancels.push(
      membership.onChange(() => {
        this.#hasNews = true
        documents.readOpen(accountsDoc, look)
      }),
    )
    documents.readOpen(accountsDoc, (state) => this.#refresh(state))
    await this.#tend()
  }

  isOpen(): boolean {
    return this.#isGateway() && this.#current() !== undefined
  }

  async change<T>(
    actor: Actor | undefined,
    decide: (index: AccountIndex) => Result<AccountChanges<T>>,
  ): Promise<Result<{ value: T; position: FeedPosition }>> {
    if (!this.#isGateway()) return err(NO_GATEWAY)
    const outcome = await written(
      this.#deps.documents.write(accountsDoc, actor, (state) => {
        this.#refresh(state)
        const key = this.#current()
        if (!key) return err(ACCOUNTS_KEY_MISSING)
        const decided = decide(this.index)
        if (decided.ok) this.#apply(state, key, decided.value)
        return decided
      }),
    )
    this.#deps.documents.readOpen(accountsDoc, (state) => this.#refresh(state))
    this.#announce()
    if (!outcome.ok) return outcome
    const { value: decided, position } = outcome.value
    return decided.ok ? ok({ value: decided.value.value, position }) : decided
  }

  onChange(listener: () => void): Cancel {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  stop(): void {
    this.#isStopped = true
    this.#cancelTurn()
    for (const cancel of this.#cancels) cancel()
  }

  #apply(state: Y.Doc, key: HeldKey, { set = [], remove = [] }: AccountChanges<unknown>): void {
    const records = sealedRecords(state)
    for (const record of set) records.set(recordName(record), sealRecord(record, key, this.#deps.random))
    for (const name of remove) records.delete(name)
    this.#refresh(state)
  }

  #gateways() {
    return gatewaysOf(this.#deps.membership.current())
  }

  #isGateway(): boolean {
    return this.#gateways().some(({ peer }) => peer === this.#deps.self)
  }

  #current(): HeldKey | undefined {
    return currentKey(this.#ring, this.#gateways())
  }

  /** Brings the index up to the document; only records that differ from the last look are decrypted. */
  #refresh(state: Y.Doc): void {
    const opened = openKeys(state, this.#ring, this.#gateways(), this.#sealer)
    for (const key of opened) this.#ring.set(key.id, key)
    const records = sealedRecords(state)
    for (const [name, value] of records) {
      const known = this.#seen.get(name)
      const isSame = known?.value === value && !(known?.opened.state === 'locked' && opened.length > 0)
      if (!isSame) this.#replace(name, { value, opened: openRecord(name, value, this.#ring) })
    }
    if (this.#seen.size === records.size) return
    for (const name of this.#seen.keys()) if (!records.has(name)) this.#replace(name, undefined)
  }

  #replace(name: string, next: Seen | undefined): void {
    const before = this.#seen.get(name)?.opened
    if (before?.state === 'record') this.index.delete(before.record)
    if (next?.opened.state === 'record') this.index.set(next.opened.record)
    if (next) this.#seen.set(name, next)
    else this.#seen.delete(name)
    this.#hasNews = true
  }

  #announce(): void {
    if (!this.#hasNews) return
    this.#hasNews = false
    for (const listener of this.#listeners) listener()
  }

  /** Does chores, one write each, until none is left. Never rejects. */
  async #tend(): Promise<void> {
    if (this.#isTending || this.#isStopped) return
    this.#isTending = true
    try {
      while (!this.#isStopped && this.#deps.documents.readOpen(accountsDoc, (state) => this.#nextChore(state)))
        await this.#deps.documents.write(accountsDoc, undefined, (state) => {
          this.#nextChore(state)?.(state)
          this.#refresh(state)
        })
    } catch (error) {
      this.#deps.log.error({ err: error }, 'the accounts keys could not be looked after')
      this.#tendAfter(RETRY_MS)
    } finally {
      this.#isTending = false
    }
  }

  #tendAfter(delayMs: number): void {
    this.#cancelTurn()
    this.#cancelTurn = this.#deps.clock.after(delayMs, () => void this.#tend())
  }

  #nextChore(state: Y.Doc): Chore | undefined {
    const { self, membership } = this.#deps
    if (!this.#isGateway()) return undefined
    const gateways = this.#gateways()
    if (hasNoKeys(state)) return membership.current().founder === self ? this.#renewKey : undefined
    const current = this.#current()
    if (!current) return undefined
    const order = gateways.map(({ peer }) => peer)
    const mustRotate = needsRotation(state, current, gateways)
    if (mustRotate && this.#isOurTurn(`rotate ${current.id}`, order)) return this.#renewKey
    if (missingSeals(state, this.#ring, gateways, self).length > 0) return this.#seal
    if (mustRotate) return undefined
    const maker = makerOf(current.id)
    const makerFirst = order.toSorted((a, b) => Number(b === maker) - Number(a === maker))
    const isOutdated = this.#outdated(current).length > 0
    return isOutdated && this.#isOurTurn(`re-encrypt ${current.id}`, makerFirst) ? this.#reencrypt : undefined
  }

  readonly #renewKey: Chore = (state) => {
    const key = makeKey(state, this.#sealer)
    const gateways = this.#gateways()
    for (const member of gateways) sealKey(state, key, member, this.#sealer)
    for (const name of sealedKeys(state).keys())
      if (!gateways.some(({ peer }) => name.endsWith(`/${peer}`))) sealedKeys(state).delete(name)
    this.#deps.log.info({ keyId: key.id }, 'made a new accounts key')
  }

  readonly #seal: Chore = (state) => {
    const missing = missingSeals(state, this.#ring, this.#gateways(), this.#deps.self)
    for (const { key, member } of missing.slice(0, SEALS_PER_WRITE_MAX)) sealKey(state, key, member, this.#sealer)
  }

  readonly #reencrypt: Chore = (state) => {
    const key = this.#current()
    if (!key) return
    for (const [name, record] of this.#outdated(key).slice(0, RECORDS_PER_WRITE_MAX))
      sealedRecords(state).set(name, sealRecord(record, key, this.#deps.random))
  }

  #outdated(current: HeldKey): [string, AccountRecord][] {
    return [...this.#seen].flatMap(([name, { opened }]) =>
      opened.state === 'record' && opened.keyId !== current.id
        ? [[name, opened.record] as [string, AccountRecord]]
        : [],
    )
  }

  /** The first in `order` acts at once, the next ones only when it is still undone after their wait. */
  #isOurTurn(chore: string, order: readonly PeerId[]): boolean {
    const nowMs = this.#deps.clock.monoMs()
    if (this.#noticed?.chore !== chore) this.#noticed = { chore, atMs: nowMs }
    const waitMs = this.#noticed.atMs + order.indexOf(this.#deps.self) * TURN_MS - nowMs
    if (waitMs > 0) this.#tendAfter(waitMs)
    return waitMs <= 0
  }
}

import { recordName } from './account-records.ts'
import type {
  AccountRecord,
  IdentityProviderName,
  IdentityRecord,
  InviteRecord,
  RecordKind,
  RecordName,
  TokenRecord,
  UserRecord,
} from './account-records.ts'
import { UserId, type PeerId, type TokenId } from './ids.ts'
import { addTo, hexKey, removeFrom } from './keyed-sets.ts'
import { RefreshFamilies, type RefreshEntry } from './refresh-families.ts'

export type TokenEntry = TokenRecord & { readonly id: TokenId }
export type UserEntry = UserRecord & { readonly id: UserId }
export type InviteEntry = InviteRecord & { readonly id: string }
export type Password = { readonly generation: number; readonly hash: string | undefined }

const NO_PREFERENCES: ReadonlyMap<string, string> = new Map()
/** A user nobody has given a password yet. */
const NO_PASSWORD: Password = { generation: 0, hash: undefined }

/** Decrypted accounts, in memory only, kept up to date record by record; every look-up is by hash. */
export class AccountIndex {
  readonly users = new Map<UserId, UserEntry>()
  readonly tokens = new Map<TokenId, TokenEntry>()
  readonly #usersByEmail = new Map<string, Set<UserId>>()
  readonly #passwords = new Map<UserId, Map<number, string>>()
  readonly #disabled = new Set<UserId>()
  readonly #tokensByHash = new Map<string, TokenId>()
  readonly #tokensByOwner = new Map<string, Set<TokenId>>()
  readonly #revoked = new Map<TokenId, { readonly untilMs: number | null }>()
  readonly #usedAtMs = new Map<TokenId, number>()
  readonly #invites = new Map<string, InviteEntry>()
  readonly #redeemed = new Map<string, { readonly untilMs: number }>()
  readonly #identities = new Map<string, IdentityRecord>()
  readonly #vouched = new Set<UserId>()
  readonly #preferences = new Map<string, Map<string, string>>()
  readonly families = new RefreshFamilies()

  set(record: AccountRecord): void {
    this.delete(record)
    switch (record.kind) {
      case 'user':
        this.users.set(record.id, { ...record.value, id: record.id })
        addTo(this.#usersByEmail, record.value.email, record.id)
        return
      case 'password': {
        const { user, generation } = parsePasswordId(record.id)
        const generations = this.#passwords.get(user) ?? new Map<number, string>()
        this.#passwords.set(user, generations.set(generation, record.value.hash))
        return
      }
      case 'disabled':
        this.#disabled.add(record.id)
        return
      case 'token':
        this.tokens.set(record.id, { ...record.value, id: record.id })
        this.#tokensByHash.set(hexKey(record.value.hash), record.id)
        addTo(this.#tokensByOwner, record.value.owner.id, record.id)
        return
      case 'revoked':
        this.#revoked.set(record.id, { untilMs: record.value.untilMs })
        return
      case 'used':
        this.#usedAtMs.set(record.id, record.value.atMs)
        return
      case 'invite':
        this.#invites.set(record.id, { ...record.value, id: record.id })
        return
      case 'redeemed':
        this.#redeemed.set(record.id, { untilMs: record.value.untilMs })
        return
      case 'identity':
        this.#identities.set(record.id, record.value)
        return
      case 'vouched':
        this.#vouched.add(record.id)
        return
      case 'refresh':
        this.families.set({ ...record.value, id: record.id })
        return
      case 'preference': {
        const [user, key] = parsePreferenceId(record.id)
        const preferences = this.#preferences.get(user) ?? new Map<string, string>()
        this.#preferences.set(user, preferences.set(key, record.value.json))
        return
      }
      case 'ended':
        this.families.setEnded(record.id, record.value.untilMs)
    }
  }

  delete(record: AccountRecord): void {
    switch (record.kind) {
      case 'user':
        return this.#deleteUser(record.id)
      case 'password': {
        const { user, generation } = parsePasswordId(record.id)
        this.#passwords.get(user)?.delete(generation)
        return
      }
      case 'disabled':
        this.#disabled.delete(record.id)
        return
      case 'token':
        return this.#deleteToken(record.id)
      case 'revoked':
        this.#revoked.delete(record.id)
        return
      case 'used':
        this.#usedAtMs.delete(record.id)
        return
      case 'invite':
        this.#invites.delete(record.id)
        return
      case 'redeemed':
        this.#redeemed.delete(record.id)
        return
      case 'identity':
        this.#identities.delete(record.id)
        return
      case 'vouched':
        this.#vouched.delete(record.id)
        return
      case 'refresh':
        this.families.delete(record.id)
        return
      case 'preference': {
        const [user, key] = parsePreferenceId(record.id)
        this.#preferences.get(user)?.delete(key)
        return
      }
      case 'ended':
        this.families.deleteEnded(record.id)
    }
  }

  /** Should two users ever share an address, the older one is meant, on every node. */
  userByEmail(email: string): UserEntry | undefined {
    const entries = [...(this.#usersByEmail.get(email) ?? [])].flatMap((id) => this.users.get(id) ?? [])
    return entries.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))[0]
  }

  /** By an id that may be anything. */
  userById(id: string): UserEntry | undefined {
    const user = UserId.safeParse(id)
    return user.success ? this.users.get(user.data) : undefined
  }

  passwordOf(user: UserId): Password {
    const generations = this.#passwords.get(user)
    if (!generations || generations.size === 0) return NO_PASSWORD
    const generation = Math.max(...generations.keys())
    return { generation, hash: generations.get(generation) }
  }

  /** Every stored generation, newest or not. */
  generationsOf(user: UserId): readonly number[] {
    return [...(this.#passwords.get(user)?.keys() ?? [])]
  }

  isDisabled(user: UserId): boolean {
    return this.#disabled.has(user)
  }

  tokenByHash(hash: Uint8Array): TokenEntry | undefined {
    const id = this.#tokensByHash.get(hexKey(hash))
    return id === undefined ? undefined : this.tokens.get(id)
  }

  tokensOf(owner: string): readonly TokenEntry[] {
    return [...(this.#tokensByOwner.get(owner) ?? [])].flatMap((id) => this.tokens.get(id) ?? [])
  }

  /** Should one account at a provider ever be linked twice, the older link is meant, on every node. */
  userByIdentity(provider: IdentityProviderName, subject: string): UserEntry | undefined {
    const links = [...this.#identities.values()].filter(
      (identity) => identity.provider === provider && identity.subject === subject,
    )
    const [first] = links.sort((a, b) => a.atMs - b.atMs || (a.userId < b.userId ? -1 : 1))
    return first && this.users.get(first.userId)
  }

  /** Key → JSON. */
  preferencesOf(user: UserId): ReadonlyMap<string, string> {
    return this.#preferences.get(user) ?? NO_PREFERENCES
  }

  isVouched(user: UserId): boolean {
    return this.#vouched.has(user)
  }

  /** A token opens the door while all of this holds; no list of good tokens is stored anywhere. */
  isGood(token: TokenEntry, nowMs: number, isRemoved: (gateway: PeerId) => boolean): boolean {
    if (token.expiresAtMs !== null && token.expiresAtMs <= nowMs) return false
    if (this.#revoked.has(token.id) || isRemoved(token.gateway)) return false
    const issuedWith = this.families.ofAccess(token.id)
    if (issuedWith && this.families.isOver(issuedWith.family)) return false
    if (token.owner.kind === 'machine') return true
    const user = this.users.get(token.owner.id)
    return user !== undefined && !this.isDisabled(user.id) && token.generation === this.passwordOf(user.id).generation
  }

  /** A refresh token is good once, while its user could sign in and nothing shows that it was copied. */
  isGoodRefresh(entry: RefreshEntry, nowMs: number, isRemoved: (gateway: PeerId) => boolean): boolean {
    const user = this.users.get(entry.userId)
    if (!user || this.isDisabled(user.id) || entry.generation !== this.passwordOf(user.id).generation) return false
    const { families } = this
    return entry.expiresAtMs > nowMs && !isRemoved(entry.gateway) && !families.isOver(entry.family)
  }

  usedAtMs(token: TokenId): number | undefined {
    return this.#usedAtMs.get(token)
  }

  isRedeemed(invite: string): boolean {
    return this.#redeemed.has(invite)
  }

  inviteByHash(hash: Uint8Array): InviteEntry | undefined {
    const key = hexKey(hash)
    return [...this.#invites.values()].find((invite) => hexKey(invite.hash) === key)
  }

  /** Names of records that have not mattered since before `beforeMs`: anybody may delete them at any time. */
  stale(beforeMs: number): readonly RecordName[] {
    const over = (untilMs: number | null): boolean => untilMs !== null && untilMs < beforeMs
    const names = (kind: RecordKind, ids: Iterable<string>): RecordName[] =>
      [...ids].map((id) => recordName({ kind, id }))
    const endedBefore = <V>(entries: Iterable<[string, V]>, until: (value: V) => number | null): string[] =>
      [...entries].filter(([, value]) => over(until(value))).map(([id]) => id)
    const { refresh, ended } = this.families.stale(beforeMs)
    return [
      ...names('refresh', refresh),
      ...names('ended', ended),
      ...names(
        'token',
        endedBefore(this.tokens, (token) => token.expiresAtMs),
      ),
      ...names(
        'revoked',
        endedBefore(this.#revoked, ({ untilMs }) => untilMs),
      ),
      ...names(
        'used',
        [...this.#usedAtMs.keys()].filter((id) => !this.tokens.has(id)),
      ),
      ...names(
        'invite',
        endedBefore(this.#invites, (invite) => invite.expiresAtMs),
      ),
      ...names(
        'redeemed',
        endedBefore(this.#redeemed, ({ untilMs }) => untilMs),
      ),
    ]
  }

  #deleteUser(id: UserId): void {
    const email = this.users.get(id)?.email
    if (email === undefined) return
    this.users.delete(id)
    removeFrom(this.#usersByEmail, email, id)
  }

  #deleteToken(id: TokenId): void {
    const token = this.tokens.get(id)
    if (!token) return
    this.tokens.delete(id)
    this.#tokensByHash.delete(hexKey(token.hash))
    removeFrom(this.#tokensByOwner, token.owner.id, id)
  }
}

export const preferenceId = (user: UserId, key: string): string => `${user}/${key}`

function parsePreferenceId(id: string): [user: string, key: string] {
  const [user = '', key = ''] = id.split('/')
  return [user, key]
}

export const passwordId = (user: UserId, generation: number): string => `${user}/${generation}`

function parsePasswordId(id: string): { user: UserId; generation: number } {
  const [user = '', generation = ''] = id.split('/')
  return { user: user as UserId, generation: Number(generation) }
}

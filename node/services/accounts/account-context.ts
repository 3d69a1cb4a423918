import { abilitiesOf, recordName, type AccountRecord, type TokenOwner } from '../../../crdt/account-records.ts'
import type { AccountIndex, InviteEntry, TokenEntry, UserEntry } from '../../../crdt/account-index.ts'
import { coversAbilities, type Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { TokenId, UserId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { ApiToken, User, UserRole } from '../../../crdt/user.ts'
import { uuidFromRandom } from '../../../crdt/uuid.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import { hasCapability } from '../../../protocols/membership/membership.ts'
import type { IdentityProvider } from '../../ports/identity-provider.ts'
import type { Mailer } from '../../ports/mailer.ts'
import type { PasswordHasher } from '../../ports/password-hasher.ts'
import { newToken, normaliseCode } from './account-secrets.ts'
import type { HashQueue } from './hash-queue.ts'
import type { LeaseService } from '../leases/lease-service.ts'
import type { SealedAccounts, SealedAccountsDeps } from './sealed-accounts.ts'

export type AccountServiceDeps = SealedAccountsDeps & {
  readonly leases: LeaseService
  readonly crypto: Crypto
  readonly hasher: PasswordHasher
  /** Who may register once there is a first user. */
  readonly registration: 'closed' | 'open'
  readonly signIn: SignInMeans
}

/** What signing in without a password needs of the world. */
export type SignInMeans = {
  readonly mailer: Mailer
  readonly providers: readonly IdentityProvider[]
  /** Where people reach this gateway, without a slash at the end; null while nobody does. */
  readonly publicUrl: () => string | null
  /** Where links lead instead of to our page, with `{token}` and maybe `{email}` in them. */
  readonly linkTemplates: Readonly<Partial<Record<LinkPurpose, string>>>
}

export type LinkPurpose = 'signIn' | 'reset'

/** What the parts of the account service share. */
export type AccountContext = {
  readonly deps: AccountServiceDeps
  readonly sealed: SealedAccounts
  readonly hashes: HashQueue
  /** Of a password that nobody knows. */
  readonly nobodysHash: string
}

/** Some log-ins a day over a month; beyond it the oldest sign-in goes, and asking for another token is refused. */
export const TOKENS_PER_USER_MAX = 1000

export const DAY_MS = 86_400_000

export const isoTime = (ms: number): string => new Date(ms).toISOString()
export const isoTimeOrNull = (ms: number | null | undefined): string | null =>
  ms === null || ms === undefined ? null : isoTime(ms)

export const digest = (crypto: Crypto, text: string): Uint8Array => crypto.sha256(new TextEncoder().encode(text))

export const newUserId = ({ deps }: AccountContext): UserId => UserId.parse(uuidFromRandom(deps.random.bytes(16)))
export const newId = ({ deps }: AccountContext): string => uuidFromRandom(deps.random.bytes(16))

export type IssueRequest = {
  readonly owner: TokenOwner
  readonly name: string
  readonly abilities: readonly string[]
  readonly expiresAtMs: number | null
  readonly generation: number
  readonly signIn: boolean
}

/** Makes a token; its text is in the answer only, the record has the hash. */
export function issueToken({ deps }: AccountContext, request: IssueRequest): { text: string; entry: TokenEntry } {
  const text = newToken(request.owner.kind === 'user' ? 'cn' : 'mn', deps.random)
  const entry: TokenEntry = {
    id: TokenId.parse(uuidFromRandom(deps.random.bytes(16))),
    ...request,
    abilities: [...request.abilities],
    hash: new Uint8Array(digest(deps.crypto, text)),
    createdAtMs: deps.clock.wallMs(),
    gateway: deps.self,
  }
  return { text, entry }
}

export function tokenRecord({ id, ...value }: TokenEntry): AccountRecord {
  return { kind: 'token', id, value }
}

export function revokedRecord(token: TokenEntry, nowMs: number): AccountRecord {
  return { kind: 'revoked', id: token.id, value: { atMs: nowMs, untilMs: token.expiresAtMs } }
}

/** The record of a revocation stays after the token's own record is gone: a late copy of that one cannot undo it. */
export function revocation(context: AccountContext, tokens: readonly TokenEntry[]) {
  const nowMs = context.deps.clock.wallMs()
  const set: AccountRecord[] = tokens.map((token) => revokedRecord(token, nowMs))
  return { set, remove: tokens.map(({ id }) => recordName({ kind: 'token', id })) }
}

/** A node that may not serve users (any more) takes no token for good. */
export function isGoodToken({ deps, sealed }: AccountContext, token: TokenEntry): boolean {
  const membership = deps.membership.current()
  const { removed } = membership
  if (!hasCapability(membership, deps.self, 'gateway')) return false
  return sealed.index.isGood(token, deps.clock.wallMs(), (gateway) => removed.has(gateway))
}

/** An invitation that can still be used, by this address. */
export function findInvite(
  { deps }: AccountContext,
  index: AccountIndex,
  { code, email }: { code: string; email: string },
): InviteEntry | undefined {
  const invite = index.inviteByHash(digest(deps.crypto, normaliseCode(code)))
  if (!invite || index.isRedeemed(invite.id) || invite.expiresAtMs <= deps.clock.wallMs()) return undefined
  return invite.email === null || invite.email === email ? invite : undefined
}

export function publicUser(user: UserEntry, index: AccountIndex): User {
  return {
    id: user.id,
    name: user.name,
    email: user.email,
    avatarUrl: user.avatarUrl,
    emailVerifiedAt: isoTimeOrNull(user.emailVerifiedAtMs),
    role: user.role,
    disabled: index.isDisabled(user.id),
    createdAt: isoTime(user.createdAtMs),
  }
}

export function publicToken(token: TokenEntry, usedAtMs: number | undefined): ApiToken | undefined {
  if (token.owner.kind !== 'user') return undefined
  return {
    id: token.id,
    userId: token.owner.id,
    name: token.name,
    abilities: token.abilities,
    createdAt: isoTime(token.createdAtMs),
    expiresAt: isoTimeOrNull(token.expiresAtMs),
    lastUsedAt: isoTimeOrNull(usedAtMs),
  }
}

/** Whoever makes, unlocks or takes over an account of this role could then do all that the role may. */
export function mayGrantRole(actor: Actor, role: UserRole): Result<null> {
  const isAdmin = coversAbilities(actor.abilities, ['user:admin'])
  return isAdmin && coversAbilities(actor.abilities, abilitiesOf(role)) ? ok(null) : err(domainError('forbidden'))
}

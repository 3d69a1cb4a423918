import type { Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import type { TokenId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { ApiToken, User, UserRole } from '../../../crdt/user.ts'
import { addUser, disableUser, inviteUser, resetPassword } from './account-admin.ts'
import { digest, publicUser, type AccountContext, type AccountServiceDeps } from './account-context.ts'
import { createLinkSignIn, type LinkSignIn } from './account-links.ts'
import { login } from './account-login.ts'
import { refreshSignIn, type RefreshableSignIn } from './account-refresh.ts'
import { preferences, setPreferences, type Preferences } from './account-preferences.ts'
import { register, type SetupCode } from './account-registration.ts'
import { newCode, newSecret, normaliseCode, SETUP_CODE_GROUPS } from './account-secrets.ts'
import {
  authenticate,
  createMachineTokens,
  createToken,
  listTokens,
  revokeToken,
  type MachineTokens,
  type TokenUse,
} from './account-tokens.ts'
import type { SignedIn } from './account-sign-in.ts'
import { createHashQueue } from './hash-queue.ts'
import { createProviderSignIn, type ProviderSignIn } from './provider-sign-in.ts'
import { openSealedAccounts } from './sealed-accounts.ts'
import { watchTokens } from './token-watch.ts'

export type { AccountServiceDeps } from './account-context.ts'

/** A token's text is in the answer that creates it and nowhere else. */
export type IssuedToken = { readonly token: string; readonly record: ApiToken }

export type Registration = {
  readonly name: string
  readonly email: string
  readonly password: string
  /** Needed for the mesh's very first user. */
  readonly setupCode?: string
  /** From `rookery user invite`. */
  readonly inviteCode?: string
}

export type AccountService = LinkSignIn &
  ProviderSignIn & {
    /** The code that makes the first user; undefined as soon as a user exists. Kept in memory only. */
    setupCode(): string | undefined
    register(input: Registration): Promise<Result<SignedIn>>
    login(input: { email: string; password: string; remember: boolean }): Promise<Result<SignedIn>>
    /** The actor behind a bearer token, or undefined. Constant time in what the token might be. */
    authenticate(token: string): Actor | undefined
    /** A new pair of tokens for a refresh token, which is good once. */
    refresh(refreshToken: string): Promise<Result<RefreshableSignIn>>
    user(actor: Actor): Promise<Result<User>>
    /** What clients remember for their user, on every gateway. */
    preferences(actor: Actor): Promise<Result<Preferences>>
    /** Sets what is given, forgets what is null, keeps the rest. */
    setPreferences(actor: Actor, changes: Preferences): Promise<Result<Preferences>>
    /** Revokes the token the actor came with. */
    logout(actor: Actor): Promise<Result<null>>
    listTokens(actor: Actor): Promise<Result<readonly ApiToken[]>>
    createToken(
      actor: Actor,
      input: { name: string; abilities: readonly string[]; expiresInDays: number | null },
    ): Promise<Result<IssuedToken>>
    revokeToken(actor: Actor, tokenId: string): Promise<Result<null>>
    /** Tells of every token that stopped being good (revoked, expired, user disabled), wherever that was done. */
    onRevoked(listener: (tokenId: string) => void): () => void

    listUsers(): Promise<Result<readonly User[]>>
    /** Without a password the new user gets an invitation code to set one. */
    addUser(
      actor: Actor,
      input: { name: string; email: string; role: UserRole; password?: string },
    ): Promise<Result<{ user: User; inviteCode?: string }>>
    /** A single-use code that lets one person register while registration is closed. */
    inviteUser(
      actor: Actor,
      input: { email?: string; role: UserRole },
    ): Promise<Result<{ inviteCode: string; expiresAt: string }>>
    disableUser(actor: Actor, emailOrId: string): Promise<Result<User>>
    /** Sets a fresh random password, shown once, and revokes the user's tokens. */
    resetPassword(actor: Actor, emailOrId: string): Promise<Result<{ user: User; password: string }>>
  }

/** The account service of a node, and what the composition root and the machine service need beside it. */
export type Accounts = AccountService & {
  readonly machineTokens: MachineTokens
  /** False until a gateway that has the accounts key has sealed it for this node: nobody can sign in here before. */
  isOpen(): boolean
  /** Writes down when tokens were last used, then lets go of the document. */
  stop(): Promise<void>
}

/** Opens the accounts of the mesh on this gateway. @throws when the documents cannot be opened */
export async function createAccountService(deps: AccountServiceDeps): Promise<Accounts> {
  const hashes = createHashQueue(deps.hasher)
  const nobodysHash = await deps.hasher.hash(newSecret(deps.random))
  const sealed = await openSealedAccounts(deps)
  const context: AccountContext = { deps, sealed, hashes, nobodysHash }
  const setup = newSetupCode(deps)
  const use: TokenUse = { usedAtMs: new Map<TokenId, number>() }
  const watch = watchTokens(context, use)
  const links = createLinkSignIn(context)
  return {
    ...links,
    ...createProviderSignIn(context),
    setupCode: () => (sealed.isOpen() && sealed.index.users.size === 0 ? setup.text : undefined),
    register: (input) => register(context, setup, input),
    login: (input) => login(context, input),
    authenticate: (token) => authenticate(context, use, token),
    refresh: (refreshToken) => refreshSignIn(context, refreshToken),
    user: async (actor) => {
      const user = actor.kind === 'user' ? sealed.index.userById(actor.id) : undefined
      return user ? ok(publicUser(user, sealed.index)) : err(domainError('user_not_found'))
    },
    preferences: async (actor) => preferences(context, actor),
    setPreferences: (actor, changes) => setPreferences(context, actor, changes),
    logout: (actor) => revokeToken(context, actor, actor.tokenId),
    listTokens: async (actor) => listTokens(context, use, actor),
    createToken: (actor, input) => createToken(context, actor, input),
    revokeToken: (actor, tokenId) => revokeToken(context, actor, tokenId),
    onRevoked: (listener) => watch.onRevoked(listener),
    listUsers: async () => {
      const users = [...sealed.index.users.values()].sort((a, b) => a.createdAtMs - b.createdAtMs)
      return ok(users.map((user) => publicUser(user, sealed.index)))
    },
    addUser: (actor, input) => addUser(context, actor, input),
    inviteUser: (actor, input) => inviteUser(context, actor, input),
    disableUser: (actor, emailOrId) => disableUser(context, actor, emailOrId),
    resetPassword: (actor, emailOrId) => resetPassword(context, actor, emailOrId),
    machineTokens: createMachineTokens(context),
    isOpen: () => sealed.isOpen(),
    stop: async () => {
      links.stop()
      await watch.stop()
      sealed.stop()
    },
  }
}

function newSetupCode({ crypto, random }: AccountServiceDeps): SetupCode {
  const text = newCode(SETUP_CODE_GROUPS, random)
  return { text, hash: digest(crypto, normaliseCode(text)) }
}

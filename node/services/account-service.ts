import type { Actor } from '../../crdt/actor.ts'
import type { Result } from '../../crdt/result.ts'
import type { ApiToken, User, UserRole } from '../../crdt/user.ts'

/** A token's text is in the answer that creates it and nowhere else. */
export type IssuedToken = { readonly token: string; readonly record: ApiToken }
export type SignedIn = { readonly user: User; readonly token: string; readonly expiresAt: string | null }

export type Registration = {
  readonly name: string
  readonly email: string
  readonly password: string
  /** Needed for the mesh's very first user. */
  readonly setupCode?: string
  /** From `rookery user invite`. */
  readonly inviteCode?: string
}

export type AccountService = {
  /** The code that makes the first user; undefined as soon as a user exists. Kept in memory only. */
  setupCode(): string | undefined
  register(input: Registration): Promise<Result<SignedIn>>
  login(input: { email: string; password: string; remember: boolean }): Promise<Result<SignedIn>>
  /** The actor behind a bearer token, or undefined. Constant time in what the token might be. */
  authenticate(token: string): Actor | undefined
  user(actor: Actor): Promise<Result<User>>
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

import type { TokenId, UserId } from './ids.ts'

export type UserRole = 'owner' | 'member'

/** A person's public part; never a hash or secret. */
export type User = {
  readonly id: UserId
  readonly name: string
  readonly email: string
  readonly avatarUrl: string | null
  readonly emailVerifiedAt: string | null
  readonly role: UserRole
  readonly disabled: boolean
  readonly createdAt: string
}

/** An API token's public part. */
export type ApiToken = {
  readonly id: TokenId
  readonly userId: UserId
  readonly name: string
  readonly abilities: readonly string[]
  readonly createdAt: string
  readonly expiresAt: string | null
  readonly lastUsedAt: string | null
}

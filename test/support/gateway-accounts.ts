import { randomBytes, randomUUID } from 'node:crypto'
import { coversAbilities, type Actor } from '../../crdt/actor.ts'
import { domainError, invalidField } from '../../crdt/errors.ts'
import { TokenId, UserId } from '../../crdt/ids.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import type { ApiToken, User } from '../../crdt/user.ts'
import type { AccountService, SignedIn } from '../../node/services/account-service.ts'
import { identity } from './identity.ts'

const DAY_MS = 86_400_000

/** Accounts in memory, without hashing: for tests of what stands in front of them. */
export function createMemoryAccounts(): AccountService {
  const setup = 'setup-code-1'
  const users = new Map<string, { user: User; password: string }>()
  const tokens = new Map<string, { record: ApiToken; text: string }>()
  const listeners = new Set<(tokenId: string) => void>()

  const issue = (user: User, name: string, abilities: readonly string[], days: number | null) => {
    const now = Date.now()
    const text = `cn_${randomBytes(32).toString('base64url')}`
    const record: ApiToken = {
      id: TokenId.parse(randomUUID()),
      userId: user.id,
      name,
      abilities: [...abilities],
      createdAt: new Date(now).toISOString(),
      expiresAt: days === null ? null : new Date(now + days * DAY_MS).toISOString(),
      lastUsedAt: null,
    }
    tokens.set(record.id, { record, text })
    return { token: text, record }
  }
  const signIn = (user: User): Result<SignedIn> => {
    const { token, record } = issue(user, 'login', ['*'], 30)
    return ok({ user, token, expiresAt: record.expiresAt })
  }
  const owned = (actor: Actor, tokenId: string) => {
    const found = tokens.get(tokenId)
    return found?.record.userId === actor.id ? found : undefined
  }
  const revoke = (actor: Actor, tokenId: string): Result<null> => {
    if (owned(actor, tokenId) === undefined) return err(domainError('token_not_found'))
    tokens.delete(tokenId)
    for (const listener of listeners) listener(tokenId)
    return ok(null)
  }
  const notHere = async () => err(domainError('forbidden'))

  return {
    setupCode: () => (users.size === 0 ? setup : undefined),
    async register({ name, email, password, setupCode }) {
      if (password.length < 8) return err(invalidField('password', 'The password must be at least 8 characters.'))
      if (users.size > 0) return err(domainError('registration_closed'))
      if (setupCode !== setup) return err(domainError('setup_code_required'))
      const user: User = {
        id: UserId.parse(randomUUID()),
        name,
        email,
        avatarUrl: null,
        emailVerifiedAt: null,
        role: 'owner',
        disabled: false,
        createdAt: new Date().toISOString(),
      }
      users.set(email, { user, password })
      return signIn(user)
    },
    async login({ email, password }) {
      const found = users.get(email)
      return found?.password === password ? signIn(found.user) : err(domainError('invalid_credentials'))
    },
    authenticate(text) {
      const found = [...tokens.values()].find((token) => token.text === text)
      if (found === undefined) return undefined
      const { id, userId, abilities } = found.record
      return { kind: 'user', id: userId, tokenId: id, abilities: [...abilities], gateway: identity(1).peer }
    },
    async user(actor) {
      const found = [...users.values()].find(({ user }) => user.id === actor.id)
      return found === undefined ? err(domainError('user_not_found')) : ok(found.user)
    },
    logout: async (actor) => revoke(actor, actor.tokenId),
    listTokens: async (actor) =>
      ok([...tokens.values()].map(({ record }) => record).filter(({ userId }) => userId === actor.id)),
    async createToken(actor, { name, abilities, expiresInDays }) {
      if (!coversAbilities(actor.abilities, abilities)) return err(domainError('forbidden'))
      const owner = [...users.values()].find(({ user }) => user.id === actor.id)
      return owner === undefined
        ? err(domainError('user_not_found'))
        : ok(issue(owner.user, name, abilities, expiresInDays))
    },
    revokeToken: async (actor, tokenId) => revoke(actor, tokenId),
    onRevoked(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    listUsers: async () => ok([...users.values()].map(({ user }) => user)),
    addUser: notHere,
    inviteUser: notHere,
    disableUser: notHere,
    resetPassword: notHere,
  }
}

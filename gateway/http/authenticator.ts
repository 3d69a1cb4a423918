import { createHash } from 'node:crypto'
import type { Actor } from '../../crdt/actor.ts'
import type { AccountService } from '../../node/services/accounts/account-service.ts'
import { addressKey } from './address.ts'
import { createBoundedSet } from './bounded-set.ts'
import { RATE_KEYS_MAX } from './rate-limit.ts'
import type { RateLimiter } from './rate-limit.ts'

export type Authenticated =
  | { readonly as: 'actor'; readonly actor: Actor }
  | { readonly as: 'nobody' }
  /** Not even looked at: this address has shown too many wrong tokens. */
  | { readonly as: 'guesser'; readonly resetMs: number }

/**
 * Tells who is behind a token, counting wrong ones per address. Tokens that were good lately are exempt from the
 * limit: a guesser must not lock out others behind its address.
 */
export function createAuthenticator(
  accounts: Pick<AccountService, 'authenticate'>,
  guesses: RateLimiter,
): (token: string, address: string) => Authenticated {
  const knownGood = createBoundedSet(RATE_KEYS_MAX)
  return (token, address) => {
    const fingerprint = fingerprintOf(token)
    const key = addressKey(address)
    const allowance = guesses.peek(key)
    if (!allowance.allowed && !knownGood.has(fingerprint)) return { as: 'guesser', resetMs: allowance.resetMs }
    const actor = accounts.authenticate(token)
    if (actor !== undefined) {
      knownGood.add(fingerprint)
      return { as: 'actor', actor }
    }
    knownGood.delete(fingerprint)
    guesses.take(key)
    return { as: 'nobody' }
  }
}

/** Tokens are remembered only as digests. */
export const fingerprintOf = (token: string): string => createHash('sha256').update(token).digest('base64')

import type { PasswordHasher } from '../ports/password-hasher.ts'

/** The library's `Algorithm` is a const enum, which isolated modules cannot read; 2 is argon2id. */
export const ARGON2ID = 2

/** OWASP's second choice of parameters: 19 MiB, two passes, one lane; about 30 ms. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1, algorithm: ARGON2ID } as const

/** What `hash` writes, with room for higher costs but not for a stored string that would eat the machine. */
const ENCODED = /^\$argon2id\$v=19\$m=\d{1,6},t=\d{1,2},p=\d\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{22,86}$/

/** Of use only once somebody signs in. */
const argon2 = () => import('@node-rs/argon2')

/** argon2id on the thread pool: the event loop goes on meanwhile. */
export function createArgon2Hasher(): PasswordHasher {
  return {
    hash: async (password) => await (await argon2()).hash(password, COST),
    async verify(stored, password) {
      return ENCODED.test(stored) && (await (await argon2()).verify(stored, password))
    },
  }
}

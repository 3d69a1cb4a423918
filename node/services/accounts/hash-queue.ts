import { domainError } from '../../../crdt/errors.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { PasswordHasher } from '../../ports/password-hasher.ts'

/** Each hash takes 19 MiB and a core for some 30 ms: two keep a small machine usable under a flood of log-ins. */
export const HASHES_AT_ONCE_MAX = 2
/** About a second's worth; whoever comes later is told to come back instead of waiting in memory. */
export const HASHES_WAITING_MAX = 32
const RETRY_AFTER_MS = 2000

/** A password hasher that never runs more than a few at once. */
export type HashQueue = {
  /** @errors rate_limited */
  hash(password: string): Promise<Result<string>>
  /** @errors rate_limited */
  verify(hash: string, password: string): Promise<Result<boolean>>
}

export function createHashQueue(hasher: PasswordHasher): HashQueue {
  let running = 0
  const waiting: (() => void)[] = []
  const turn = async <T>(work: () => Promise<T>): Promise<Result<T>> => {
    if (running >= HASHES_AT_ONCE_MAX) {
      if (waiting.length >= HASHES_WAITING_MAX)
        return err(domainError('rate_limited', { details: { retryAfterMs: RETRY_AFTER_MS } }))
      await new Promise<void>((resolve) => waiting.push(resolve)) // whoever ends hands its place over
    } else running++
    try {
      return ok(await work())
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
  return {
    hash: (password) => turn(() => hasher.hash(password)),
    verify: (hash, password) => turn(() => hasher.verify(hash, password)),
  }
}

import type { DomainErrorCode } from '../../crdt/errors.ts'
import type { Result } from '../../crdt/result.ts'

/** What a call answered; a refusal fails the test. */
export const valueOf = <T>(result: Result<T>): T => {
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`)
  return result.value
}

export const codeOf = (result: Result<unknown>): DomainErrorCode | 'ok' => (result.ok ? 'ok' : result.error.code)

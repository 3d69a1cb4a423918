import type { DomainError, DomainErrorCode, ErrorDetails } from '../../crdt/errors.ts'

/** What the shell is told. `unread` is what it counts for programs that SIGPIPE ends; Node ignores that signal. */
export const EXIT = { ok: 0, refused: 1, usage: 2, notRunning: 3, held: 4, unread: 141 } as const

const HELD: readonly DomainErrorCode[] = ['task_claimed', 'lock_held', 'quorum_unreachable', 'no_task_available']
const USAGE: readonly DomainErrorCode[] = ['invalid_input']

export function exitCodeOf(error: DomainError): number {
  if (HELD.includes(error.code)) return EXIT.held
  return USAGE.includes(error.code) ? EXIT.usage : EXIT.refused
}

/** Ends a command with a message for a person (or as JSON) and an exit code. */
export class CommandFailure extends Error {
  override readonly name = 'CommandFailure'
  readonly exitCode: number
  readonly code: string
  readonly details: object | undefined

  constructor(message: string, exitCode: number, more: { code?: string; details?: object } = {}) {
    super(message)
    this.exitCode = exitCode
    this.code = more.code ?? 'refused'
    this.details = more.details
  }
}

/** The failure a domain error ends a command with; says who holds what was wanted. */
export function failureOf(error: DomainError): CommandFailure {
  const { fields, holder } = error.details ?? {}
  const facts = [
    // Some refusals say it in their message already.
    ...Object.entries(fields ?? {})
      .filter(([, problems]) => !problems.every((problem) => error.message.includes(problem)))
      .map(([field, problems]) => `${field} ${problems.join(', ')}`),
    holder && `held by ${holder.instanceId}${holder.expiresAt ? ` until ${holder.expiresAt}` : ''}`,
    holder?.guarantee === 'provisional' && 'provisional: no quorum has confirmed it',
    holder?.reason && `reason: ${holder.reason}`,
  ].filter(Boolean)
  const message = facts.length > 0 ? `${error.message} (${facts.join('; ')})` : error.message
  return new CommandFailure(message, exitCodeOf(error), {
    code: error.code,
    ...(error.details === undefined ? {} : { details: wireDetails(error.details) }),
  })
}

/** The facts of a refusal under the API's field names. */
const wireDetails = ({ fields, holder, missingVoters, retryAfterMs }: ErrorDetails): object => ({
  ...(fields === undefined ? {} : { fields }),
  ...(holder === undefined
    ? {}
    : {
        holder: {
          instance_id: holder.instanceId,
          reason: holder.reason ?? null,
          expires_at: holder.expiresAt ?? null,
          guarantee: holder.guarantee ?? 'certified',
        },
      }),
  ...(missingVoters === undefined ? {} : { missing_voters: missingVoters }),
  ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
})

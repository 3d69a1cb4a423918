import { DOMAIN_ERRORS } from '../../crdt/errors.ts'
import type { DomainError, DomainErrorCode } from '../../crdt/errors.ts'

/** Ways in which a request fails before any service is asked. */
export const HTTP_ERRORS = {
  host_refused: 'This gateway does not answer to that Host. Add it to the configured hosts if it should.',
  origin_refused: 'Pages of that origin may not call this gateway.',
  fetch_site_refused: 'Requests from other sites are refused.',
  bad_request_target: 'The request target must be an absolute path.',
  malformed_request: 'The request could not be read.',
  token_in_url: 'Tokens belong into the Authorization header; in a URL they end up in logs and histories.',
  route_not_found: 'There is no such route.',
  method_not_allowed: 'This route does not know that method.',
  media_type: 'Send the body as application/json.',
  upgrade_required: 'This address speaks WebSocket only.',
} as const
export type HttpErrorCode = keyof typeof HTTP_ERRORS

/** What a dialect must put into words: a domain error, or one of the gateway's own. */
export type Refusal = Omit<DomainError, 'code'> & {
  readonly code: DomainErrorCode | HttpErrorCode
  readonly headers?: Readonly<Record<string, string>>
}

export const httpError = (code: HttpErrorCode, headers: Readonly<Record<string, string>> = {}): Refusal => ({
  code,
  message: HTTP_ERRORS[code],
  headers,
})

/** `unauthenticated` with the header that RFC 9110 asks for. */
export const unauthenticated = (): Refusal => ({
  code: 'unauthenticated',
  message: DOMAIN_ERRORS.unauthenticated.message,
  headers: { 'www-authenticate': 'Bearer' },
})

import type { CustomFetchOptions } from 'openid-client'
import { isLoopbackHost } from './loopback.ts'

/** Answers of identity providers are some kilobytes. */
const ANSWER_BYTES_MAX = 1024 * 1024
const ANSWER_WITHIN_MS = 10_000

/**
 * Fetches from a host the operator has named: over https (or from this machine), without following redirects, within a
 * bound of time and size. @throws TypeError when any of that fails
 */
export async function fetchBounded(url: string, options: CustomFetchOptions): Promise<Response> {
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'https:' && !isLoopbackHost(hostname)) throw new TypeError(`${hostname} is not asked without https`)
  const { method, headers: asked, body = null } = options
  const signal = AbortSignal.timeout(ANSWER_WITHIN_MS)
  const answer = await fetch(url, { method, headers: asked, body, redirect: 'error', signal })
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of answer.body ?? []) {
    size += chunk.byteLength
    if (size > ANSWER_BYTES_MAX) throw new TypeError(`the answer of ${hostname} is too large`)
    chunks.push(chunk)
  }
  const { status, headers } = answer
  return new Response(EMPTY_STATUSES.has(status) ? null : Buffer.concat(chunks), { status, headers })
}

/** `Response` takes no body with these. */
const EMPTY_STATUSES: ReadonlySet<number> = new Set([204, 205, 304])

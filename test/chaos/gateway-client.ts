import type { Json } from '../support/nodes.ts'
import type { Outcome } from './history.ts'

/** An answer waited for longer than this is not waited for any more: what was asked for may still happen. */
const ANSWER_MS = 5000

export type Reply = {
  readonly outcome: Outcome
  readonly invokedMs: number
  readonly answeredMs: number
  readonly status?: number
  readonly code?: string
  readonly data: Json
}

export type Endpoint = { readonly http: string; readonly token: string }

/** One request to a gateway that may be dead, asleep or cut off. Never fails: not knowing is an outcome. */
export async function request(to: Endpoint, method: string, path: string, body?: object): Promise<Reply> {
  const invokedMs = performance.now()
  try {
    const response = await fetch(new URL(path, to.http), {
      method,
      headers: { authorization: `Bearer ${to.token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_MS),
    })
    const { data, error } = (await response.json()) as Json
    const { status } = response
    const times = { invokedMs, answeredMs: performance.now() }
    return { ...times, status, code: error?.code, data, outcome: outcomeOf(status, error?.code) }
  } catch {
    return { outcome: 'unknown', invokedMs, answeredMs: performance.now(), data: undefined }
  }
}

const QUORUM_UNREACHABLE = 'LCK_002'

function outcomeOf(status: number, code: string | undefined): Outcome {
  if (status < 300) return 'done'
  if (code === QUORUM_UNREACHABLE) return 'unavailable'
  return status >= 500 ? 'unknown' : 'refused'
}

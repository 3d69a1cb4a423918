import { randomBytes } from 'node:crypto'
import type { Clock } from '../ports/clock.ts'
import type { McpReach } from '../ports/mcp-connector.ts'
import type { McpSignIns } from '../ports/mcp-sign-ins.ts'
import { createEgress } from './egress.ts'
import type { SignInFlow } from './mcp-oauth.ts'
import type { SignInFiles } from './mcp-sign-in-files.ts'
import { boundedResponses } from './response-limit.ts'

/** Time to sign in there, a second factor included. */
const FLOW_MS = 10 * 60_000
/** Sign-ins under way; the oldest is forgotten first. */
const FLOWS_MAX = 16

/** The SDK is loaded when somebody signs in. Flows are in memory: they end with the node. */
export function createMcpSignIns(files: SignInFiles, clock: Pick<Clock, 'bootMs'>): McpSignIns {
  const flows = new Map<string, { flow: SignInFlow; reach: McpReach; endsAtMs: number }>()
  return {
    async begin(url, { reach, redirectUrl, signal }) {
      const { beginFlow } = await import('./mcp-oauth.ts')
      const state = randomBytes(32).toString('base64url')
      const nothing = {
        link: undefined,
        verifier: undefined,
        client: undefined,
        discovery: undefined,
        scope: undefined,
      }
      const flow: SignInFlow = { url, redirectUrl, state, ...nothing }
      await asking(reach, signal, (ask) => beginFlow(flow, ask))
      for (const [key, { endsAtMs }] of flows)
        if (endsAtMs <= clock.bootMs() || flows.size >= FLOWS_MAX) flows.delete(key)
      flows.set(state, { flow, reach, endsAtMs: clock.bootMs() + FLOW_MS })
      return { link: flow.link ?? '' }
    },
    async finish(answer, signal) {
      const begun = flows.get(answer.state)
      flows.delete(answer.state)
      if (!begun || begun.endsAtMs <= clock.bootMs())
        throw new Error('No sign-in waits for this answer: it was used, has expired, or began elsewhere. Begin anew.')
      const { finishFlow } = await import('./mcp-oauth.ts')
      const signIn = await asking(begun.reach, signal, (ask) => finishFlow(begun.flow, answer, ask))
      await files.write(signIn)
      return signIn.url
    },
    keep: (urls) => files.keep(urls),
    forget: (url) => files.forget(url),
  }
}

/** Under the rules that the server itself is asked by. */
async function asking<T>(reach: McpReach, signal: AbortSignal, work: (ask: typeof fetch) => Promise<T>): Promise<T> {
  const egress = createEgress(reach)
  const bounded = boundedResponses(egress.fetch)
  try {
    return await work(async (input, init) => {
      signal.throwIfAborted()
      return await bounded(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, signal]) : signal })
    })
  } finally {
    await egress.close()
  }
}

import type { McpReach } from './mcp-connector.ts'

/** What the browser brings back: a code, or why there is none (RFC 6749 4.1.2, RFC 9207). */
export type SignInAnswer = {
  readonly state: string
  readonly code?: string | undefined
  readonly iss?: string | undefined
  readonly error?: string | undefined
}

/**
 * Signing in at MCP servers that ask for OAuth. What comes of it is kept for the address of the server, is sent to that
 * address alone, and is shown to nobody. All reject with what a person can act on.
 */
export interface McpSignIns {
  /** The link at which a person consents; its answer is good once, within ten minutes, for who began. */
  begin(
    url: string,
    options: { readonly reach: McpReach; readonly redirectUrl: string; readonly signal: AbortSignal },
  ): Promise<{ readonly link: string }>
  /** Resolves with the address that is signed in at, once it is kept. */
  finish(answer: SignInAnswer, signal: AbortSignal): Promise<string>
  /** Forgets what is kept for any other address. */
  keep(urls: ReadonlySet<string>): Promise<void>
  /** False when there was nothing. */
  forget(url: string): Promise<boolean>
}

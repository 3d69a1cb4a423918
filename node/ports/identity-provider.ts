import type { IdentityProviderName } from '../../crdt/account-records.ts'
import type { Result } from '../../crdt/result.ts'

/** What one sign-in keeps to itself until the provider has answered. */
export type SignInFlow = {
  readonly state: string
  readonly nonce: string
  /** Of PKCE: without it the code is worth nothing. */
  readonly verifier: string
  readonly redirectUrl: string
}

/** What came back with the browser, unchecked. */
export type ProviderAnswer = {
  readonly code?: string
  readonly state?: string
  /** Who says to have issued the code. */
  readonly iss?: string
  readonly error?: string
}

/** A person as the provider knows them. */
export type ProvenIdentity = {
  readonly provider: IdentityProviderName
  /** The provider's own, lasting name for the account. */
  readonly subject: string
  /** Undefined where the provider does not say that it has verified one. */
  readonly verifiedEmail: string | undefined
  readonly name: string | undefined
  readonly avatarUrl: string | undefined
}

/** Signs people in for us: authorization code, PKCE and state. */
export type IdentityProvider = {
  readonly name: IdentityProviderName
  /** Where the browser comes back to; null: to the page of the gateway. */
  readonly redirectUrl: string | null
  /** False while its client secret has not been set. */
  isReady(): Promise<boolean>
  /** Where to send the browser. @errors provider_unreachable */
  authorizationUrl(flow: SignInFlow): Promise<Result<string>>
  /** Redeems the code. @errors provider_refused, provider_unreachable */
  identify(flow: SignInFlow, answer: ProviderAnswer): Promise<Result<ProvenIdentity>>
}

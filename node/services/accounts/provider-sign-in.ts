import type { IdentityProviderName } from '../../../crdt/account-records.ts'
import { domainError } from '../../../crdt/errors.ts'
import { hexKey } from '../../../crdt/keyed-sets.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { IdentityProvider, ProviderAnswer, SignInFlow } from '../../ports/identity-provider.ts'
import { digest, type AccountContext } from './account-context.ts'
import { signInAs } from './account-identities.ts'
import { newSecret } from './account-secrets.ts'
import type { SignedIn } from './account-sign-in.ts'

/** Time to sign in at the provider, a second factor included. */
export const FLOW_TTL_MS = 10 * 60_000
/** Flows under way; the oldest is forgotten first. One costs some 500 bytes. */
const FLOWS_MAX = 10_000

/** Who may register: who has the setup code, everybody, or who has an invitation. */
export const REGISTRATIONS = ['first_user', 'open', 'invited'] as const

/** Ways in beside a password, for who is not signed in yet. */
export type SignInWays = {
  /** Where links and providers lead: a sign-in has to begin there. Null while this gateway serves nobody. */
  readonly publicUrl: string | null
  /** Those that are set up here. */
  readonly providers: readonly IdentityProviderName[]
  /** False: mails stay with whoever runs this gateway. */
  readonly sendsMail: boolean
  readonly registration: (typeof REGISTRATIONS)[number]
}

/** Signing in through a provider: the browser goes there and comes back with a code. */
export type ProviderSignIn = {
  signInWays(): Promise<SignInWays>
  /**
   * `binding` is for the browser that begins, and for nothing else: only who has it can finish, so that nobody can be
   * signed in as somebody else by a link. @errors provider_unknown, provider_unreachable
   */
  beginSignIn(provider: string): Promise<Result<{ url: string; binding: string }>>
  /** Once per flow, on the gateway it was begun on. @errors provider_unknown, provider_refused and those of `signInAs` */
  finishSignIn(provider: string, binding: string, answer: ProviderAnswer): Promise<Result<SignedIn>>
}

type Flow = SignInFlow & { readonly provider: IdentityProvider; readonly endsAtMs: number }

/** Flows live in this gateway's memory, under the digests of their bindings: they die with it. */
export function createProviderSignIn(context: AccountContext): ProviderSignIn {
  const { clock, random, crypto, signIn } = context.deps
  const flows = new Map<string, Flow>()
  const keyOf = (binding: string): string => hexKey(digest(crypto, binding))
  const remember = (flow: Flow): string => {
    for (const [key, { endsAtMs }] of flows)
      if (endsAtMs <= clock.bootMs() || flows.size >= FLOWS_MAX) flows.delete(key)
    const binding = newSecret(random)
    flows.set(keyOf(binding), flow)
    return binding
  }
  return {
    async signInWays() {
      const ready = await Promise.all(signIn.providers.map(async (one) => ((await one.isReady()) ? [one.name] : [])))
      return {
        publicUrl: signIn.publicUrl(),
        providers: ready.flat(),
        sendsMail: signIn.mailer.isSending,
        registration: registrationOf(context),
      }
    },
    async beginSignIn(name) {
      const provider = signIn.providers.find((one) => one.name === name)
      const base = signIn.publicUrl()
      if (!provider || base === null || !(await provider.isReady())) return err(UNKNOWN)
      const [state, nonce, verifier] = [newSecret(random), newSecret(random), newSecret(random)]
      const redirectUrl = provider.redirectUrl ?? `${base}/sign-in/${provider.name}`
      const flow = { state, nonce, verifier, redirectUrl }
      const url = await provider.authorizationUrl(flow)
      if (!url.ok) return url
      const binding = remember({ ...flow, provider, endsAtMs: clock.bootMs() + FLOW_TTL_MS })
      return ok({ url: url.value, binding })
    },
    async finishSignIn(name, binding, answer) {
      if (!signIn.providers.some((provider) => provider.name === name)) return err(UNKNOWN)
      const key = keyOf(binding)
      const flow = flows.get(key)
      if (!flow || flow.provider.name !== name || flow.endsAtMs <= clock.bootMs()) return err(NOT_BEGUN_HERE)
      // A client that hands on the code alone still has the binding, and a code of another flow fails on the verifier.
      if (answer.state !== undefined && answer.state !== flow.state) return err(NOT_BEGUN_HERE)
      flows.delete(key)
      if (answer.error !== undefined || answer.code === undefined) return err(domainError('provider_refused'))
      const identity = await flow.provider.identify(flow, answer)
      return identity.ok ? await signInAs(context, identity.value) : identity
    },
  }
}

const UNKNOWN = domainError('provider_unknown')

const NOT_BEGUN_HERE = domainError('provider_refused', {
  message: 'This browser has not begun this sign-in on this gateway within the last ten minutes. Begin again.',
})

function registrationOf({ sealed, deps }: AccountContext): SignInWays['registration'] {
  if (sealed.isOpen() && sealed.index.users.size === 0) return 'first_user'
  return deps.registration === 'open' ? 'open' : 'invited'
}

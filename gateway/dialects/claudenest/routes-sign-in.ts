import { z } from 'zod'
import { ok } from '../../../crdt/result.ts'
import { none } from '../../http/dialect.ts'
import type { Wire } from '../../http/dialect.ts'
import type { LinkPurpose } from '../../../node/services/accounts/account-context.ts'
import type { RefreshableSignIn } from '../../../node/services/accounts/account-refresh.ts'
import { bindingCookie, bindingIn } from './binding-cookie.ts'
import { invalid } from './inputs.ts'
import { publicRoute } from './deps.ts'
import { Email, Password, SignedInReply, signedIn } from './routes-auth.ts'

const provider = { missing: 'provider_unknown', params: z.strictObject({ provider: z.string().max(64) }) } as const
const authentication = { policy: 'public', group: 'authentication' } as const
/** What we issue has 43 to 49 characters. */
const Secret = z.string().trim().min(1).max(200)
const Message = z.strictObject({ message: z.string() })
const said = (message: string) => (): Wire => ({ data: { message } })

const Answered = z.string().min(1).max(4096).exactOptional()

const Pair = { access_token: z.string(), refresh_token: z.string() }
const pairOf = ({ token, refreshToken }: RefreshableSignIn) => ({ access_token: token, refresh_token: refreshToken })

const providerRoutes = [
  publicRoute({
    doc: '2.1 Redirect to provider',
    method: 'GET',
    path: '/api/auth/:provider/redirect',
    ...authentication,
    errors: ['provider_unreachable'],
    ...provider,
    query: none.query,
    body: none.body,
    reply: z.strictObject({ redirect_url: z.string() }),
    run: async ({ services, isSecure }, { params }) => {
      const begun = await services.accounts.beginSignIn(params.provider)
      if (!begun.ok) return begun
      const { url, binding } = begun.value
      return ok({ url, cookie: bindingCookie(params.provider, binding, isSecure) })
    },
    toWire: ({ url, cookie }) => ({ data: { redirect_url: url }, headers: { 'set-cookie': cookie } }),
  }),
  publicRoute({
    doc: '2.1 OAuth callback',
    method: 'GET',
    path: '/api/auth/:provider/callback',
    ...authentication,
    errors: [
      'provider_refused',
      'provider_unreachable',
      'identity_unproved',
      'invalid_credentials',
      'setup_code_required',
      'registration_closed',
      'limit_reached',
      'quorum_unreachable',
      'superseded',
      'storage_failed',
    ],
    ...provider,
    query: z.object({ code: Answered, state: Answered, iss: Answered, error: Answered }),
    body: none.body,
    reply: SignedInReply,
    run: async ({ services, isSecure }, { params, query, header }) => {
      if (query.code === undefined && query.error === undefined) return invalid('code', 'The code field is required.')
      const binding = bindingIn(header('cookie'), params.provider, isSecure)
      const done = await services.accounts.finishSignIn(params.provider, binding, query)
      if (!done.ok) return done
      return ok({ ...done.value, cookie: bindingCookie(params.provider, '', isSecure) })
    },
    toWire: ({ cookie, ...done }) => ({ ...signedIn(done), headers: { 'set-cookie': cookie } }),
  }),
]

/** A link by mail. The answer is the same whether or not there is somebody with the address. */
const linkRequest = (
  row: { readonly doc: string; readonly path: string },
  { purpose, answer }: { readonly purpose: LinkPurpose; readonly answer: string },
) =>
  publicRoute({
    ...row,
    method: 'POST',
    ...authentication,
    errors: ['link_unavailable'],
    params: none.params,
    query: none.query,
    body: z.strictObject({ email: Email }),
    reply: Message,
    run: async ({ services }, { body }) => services.accounts.requestLink(purpose, body.email),
    toWire: said(answer),
  })

const linkRoutes = [
  linkRequest(
    { doc: '2.7 Request magic link', path: '/api/auth/magic-link' },
    { purpose: 'signIn', answer: 'Magic link sent to your email' },
  ),
  publicRoute({
    doc: '2.7 Verify magic link token',
    method: 'POST',
    path: '/api/auth/magic-link/verify',
    ...authentication,
    errors: ['link_invalid'],
    params: none.params,
    query: none.query,
    body: z.strictObject({ token: Secret }),
    reply: SignedInReply.extend({ tokens: z.strictObject(Pair) }),
    run: ({ services }, { body }) => services.accounts.signInByLink(body.token),
    toWire: (done) => ({ data: { ...Object(signedIn(done).data), tokens: pairOf(done) } }),
  }),
  linkRequest(
    { doc: '14.1 Request password reset', path: '/api/auth/forgot-password' },
    { purpose: 'reset', answer: 'Password reset link sent to your email.' },
  ),
  publicRoute({
    doc: '14.1 Reset password',
    method: 'POST',
    path: '/api/auth/reset-password',
    ...authentication,
    errors: ['link_invalid'],
    params: none.params,
    query: none.query,
    body: z.strictObject({
      token: Secret,
      email: Email.exactOptional(),
      password: Password,
      password_confirmation: z.string().max(1024),
    }),
    reply: Message,
    run: async ({ services }, { body: { token: secret, password, password_confirmation, email } }) =>
      password === password_confirmation
        ? services.accounts.resetByCode({ secret, password, ...(email === undefined ? {} : { email }) })
        : invalid('password_confirmation', 'The password confirmation does not match.'),
    toWire: said('Password has been reset successfully.'),
  }),
]

/** Signing in without a password. Links and flows are good at the gateway they were begun at. */
export const signInRoutes = [
  ...providerRoutes,
  ...linkRoutes,
  publicRoute({
    doc: '2.7 Refresh tokens',
    method: 'POST',
    path: '/api/auth/refresh',
    ...authentication,
    errors: ['unauthenticated'],
    params: none.params,
    query: none.query,
    body: z.strictObject({ refresh_token: Secret }),
    reply: SignedInReply.extend(Pair),
    run: ({ services }, { body }) => services.accounts.refresh(body.refresh_token),
    toWire: (done) => ({ data: { ...Object(signedIn(done).data), ...pairOf(done) } }),
  }),
]

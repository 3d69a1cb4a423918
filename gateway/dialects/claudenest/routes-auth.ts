import { z } from 'zod'
import { TokenId } from '../../../crdt/ids.ts'
import { ok } from '../../../crdt/result.ts'
import type { SignedIn } from '../../../node/services/accounts/account-sign-in.ts'
import { none } from '../../http/dialect.ts'
import type { Wire } from '../../http/dialect.ts'
import { invalid } from './inputs.ts'
import { publicRoute, route } from './deps.ts'
import { WireToken, wireToken, WireUser, wireUser } from './wire.ts'

export const SignedInReply = z.strictObject({ user: WireUser, token: z.string(), expires_at: z.string().nullable() })

export const signedIn = ({ user, token, expiresAt }: SignedIn): Wire => ({
  data: { user: wireUser(user), token, expires_at: expiresAt },
})

export const Email = z.string().trim().min(3).max(254)
/** Longer texts only cost hashing time. */
export const Password = z.string().min(1).max(1024)

export const authRoutes = [
  publicRoute({
    doc: '2.2 Login',
    method: 'POST',
    path: '/api/auth/login',
    policy: 'public',
    errors: ['invalid_credentials', 'limit_reached'],
    group: 'authentication',
    params: none.params,
    query: none.query,
    body: z.strictObject({ email: Email, password: Password, remember: z.boolean().default(false) }),
    reply: SignedInReply,
    run: ({ services }, { body }) => services.accounts.login(body),
    toWire: signedIn,
  }),
  publicRoute({
    doc: '2.3 Register',
    method: 'POST',
    path: '/api/auth/register',
    policy: 'public',
    errors: [
      'registration_closed',
      'setup_code_required',
      'email_taken',
      'limit_reached',
      'quorum_unreachable',
      'superseded',
    ],
    group: 'authentication',
    status: 201,
    params: none.params,
    query: none.query,
    body: z.strictObject({
      name: z.string().trim().min(1).max(200),
      email: Email,
      password: Password,
      password_confirmation: z.string().max(1024),
      setup_code: z.string().max(200).exactOptional(),
      invite_code: z.string().max(200).exactOptional(),
    }),
    reply: SignedInReply,
    run: async ({ services }, { body, header }) => {
      if (body.password !== body.password_confirmation) {
        return invalid('password_confirmation', 'The password confirmation does not match.')
      }
      const setupCode = body.setup_code ?? header('x-setup-code')
      return await services.accounts.register({
        name: body.name,
        email: body.email,
        password: body.password,
        ...(setupCode === undefined ? {} : { setupCode }),
        ...(body.invite_code === undefined ? {} : { inviteCode: body.invite_code }),
      })
    },
    toWire: signedIn,
  }),
  route({
    doc: '2.4 Logout',
    method: 'POST',
    path: '/api/auth/logout',
    policy: 'authenticated',
    ...none,
    reply: z.null(),
    run: ({ services }, { actor }) => services.accounts.logout(actor),
    toWire: () => ({ data: null }),
  }),
  route({
    doc: '2.5 Get current user',
    method: 'GET',
    path: '/api/auth/me',
    policy: { ability: 'user:read' },
    errors: ['user_not_found'],
    ...none,
    reply: WireUser.extend({ user: WireUser }),
    run: ({ services }, { actor }) => services.accounts.user(actor),
    toWire: (user) => ({ data: { ...wireUser(user), user: wireUser(user) } }),
  }),
  route({
    doc: '2.6 List tokens',
    method: 'GET',
    path: '/api/auth/tokens',
    policy: { ability: 'token:manage' },
    ...none,
    reply: z.array(WireToken),
    run: ({ services }, { actor }) => services.accounts.listTokens(actor),
    toWire: (tokens, { nowMs }) => ({ data: tokens.map((token) => wireToken(token, nowMs)) }),
  }),
  route({
    doc: '2.6 Create token',
    method: 'POST',
    path: '/api/auth/tokens',
    policy: { ability: 'token:manage' },
    status: 201,
    params: none.params,
    query: none.query,
    body: z.strictObject({
      name: z.string().trim().min(1).max(200),
      abilities: z.array(z.string().min(1).max(64)).max(64),
      expires_in_days: z.int().min(1).max(3650).nullable().default(null),
    }),
    reply: WireToken.extend({ token: z.string() }),
    run: ({ services }, { actor, body }) =>
      services.accounts.createToken(actor, {
        name: body.name,
        abilities: body.abilities,
        expiresInDays: body.expires_in_days,
      }),
    toWire: ({ token, record }, { nowMs }) => ({ data: { ...wireToken(record, nowMs), token } }),
  }),
  route({
    doc: '2.6 Revoke token',
    method: 'DELETE',
    path: '/api/auth/tokens/:id',
    policy: { ability: 'token:manage' },
    params: z.strictObject({ id: TokenId }),
    missing: 'token_not_found',
    query: none.query,
    body: none.body,
    reply: z.null(),
    run: ({ services }, { actor, params }) => services.accounts.revokeToken(actor, params.id),
    toWire: () => ({ data: null }),
  }),
]

export const healthRoute = publicRoute({
  doc: '16 Health check',
  method: 'GET',
  path: '/api/health',
  policy: 'public',
  group: 'probe',
  ...none,
  reply: z.strictObject({ status: z.literal('ok'), version: z.string(), timestamp: z.string() }),
  run: async ({ version }) => ok(version),
  toWire: (version, { nowMs }) => ({
    data: { status: 'ok', version, timestamp: new Date(nowMs).toISOString() },
  }),
})

import { z } from 'zod'
import { rest, shape, text, time, token, uuid } from './row.ts'
import type { RestRow } from './row.ts'

/** Null until the user has a picture. */
const avatar = z.url().nullable()
const User = shape({ id: uuid, email: z.email(), name: text, avatar_url: avatar })
const SignedIn = shape({ user: User, token: token('cn_'), expires_at: time })
/** Null until the address was shown to be the user's. */
const Me = User.extend({ email_verified_at: time.nullable() })
const Pair = shape({ access_token: token('cn_'), refresh_token: token('cn_rt_') })
const Message = shape({ message: text })
const linkSays = [
  'answers the same whether or not the address is known',
  'answers 400 AUTH_003 where no link can be sent',
]
const TokenFacts = shape({
  id: uuid,
  name: text,
  abilities: z.array(text),
  last_used_at: time.nullable(),
  expires_at: time.nullable(),
  is_active: z.boolean(),
  created_at: time,
})

export const authRows: readonly RestRow[] = [
  rest('2.1', 'GET /api/auth/:provider/redirect', {
    needsToken: false,
    reply: shape({ redirect_url: z.url() }),
    errors: ['AUTH_001'],
    says: ['sends to either provider with state, nonce and a PKCE challenge'],
  }),
  rest('2.1', 'GET /api/auth/:provider/callback', {
    needsToken: false,
    reply: SignedIn,
    errors: ['AUTH_001', 'AUTH_002'],
    says: ['wants the browser that has begun'],
  }),
  rest('2.2', 'POST /api/auth/login', {
    needsToken: false,
    body: { email: 'user@example.com', password: 'securepassword', remember: false },
    reply: SignedIn,
    errors: ['AUTH_002'],
    says: ['answers 422 VAL_001 that names a missing field'],
  }),
  rest('2.3', 'POST /api/auth/register', {
    needsToken: false,
    body: {
      name: 'John Doe',
      email: 'user@example.com',
      password: 'securepassword',
      password_confirmation: 'securepassword',
    },
    status: 201,
    reply: SignedIn,
    says: ['refuses a confirmation that differs', 'takes the setup code from the body or from X-Setup-Code'],
  }),
  rest('2.4', 'POST /api/auth/logout', { reply: z.null(), says: ['leaves the token dead'] }),
  rest('2.5', 'GET /api/auth/me', { reply: shape({ user: Me }), says: ['answers the user flat, too'] }),
  rest('2.6', 'GET /api/auth/tokens', { reply: z.array(TokenFacts), says: ['lists tokens without their text'] }),
  rest('2.6', 'POST /api/auth/tokens', {
    body: { name: 'Mobile App Token', abilities: ['*'], expires_in_days: 90 },
    status: 201,
    reply: shape({ token: token('cn_'), name: text, abilities: z.array(text), expires_at: time.nullable() }),
    says: ['shows the token once, and ends it in time'],
  }),
  rest('2.6', 'DELETE /api/auth/tokens/:id', {
    reply: z.null(),
    says: ['revokes', 'answers 404 TOK_001 for an unknown id'],
  }),
  rest('2.7', 'POST /api/auth/magic-link', {
    needsToken: false,
    body: { email: 'user@example.com' },
    reply: Message,
    says: linkSays,
  }),
  rest('2.7', 'POST /api/auth/magic-link/verify', {
    needsToken: false,
    body: { token: 'abc123...' },
    reply: shape({ user: User, tokens: Pair }),
    errors: ['AUTH_004'],
    says: ['takes a link once'],
  }),
]

/**
 * What the document has an answer for, but no route: the reset of section 14.1 (`AUTH_003`, `AUTH_004`), and the use of the
 * refresh tokens of section 2.7.
 */
export const signInRows: readonly RestRow[] = [
  rest('14.1', 'POST /api/auth/forgot-password', {
    needsToken: false,
    body: { email: 'user@example.com' },
    reply: Message,
    says: linkSays,
  }),
  rest('14.1', 'POST /api/auth/reset-password', {
    needsToken: false,
    body: {
      token: 'abc123...',
      email: 'user@example.com',
      password: 'securepassword',
      password_confirmation: 'securepassword',
    },
    reply: Message,
    errors: ['AUTH_004'],
    says: ['sets the password, and ends every token', 'refuses a confirmation that differs'],
  }),
  rest('2.7', 'POST /api/auth/refresh', {
    needsToken: false,
    body: { refresh_token: 'cn_rt_...' },
    reply: SignedIn.extend(Pair.shape),
    says: ['ends the pair that it replaces', 'answers 401 AUTH_005 for one that is not good'],
  }),
]

import { z } from 'zod'
import { IDENTITY_PROVIDERS } from '../../../crdt/account-records.ts'
import { ok } from '../../../crdt/result.ts'
import { REGISTRATIONS } from '../../../node/services/accounts/provider-sign-in.ts'
import type { Services } from '../../../node/services/services.ts'
import { none, routesFor } from '../../http/dialect.ts'

const { publicRoute } = routesFor<{ readonly services: Services; readonly version: string }>()

/** What the page offers to who is not signed in; the same for everybody. */
export const signInRoutes = [
  publicRoute({
    doc: 'Ways to sign in',
    method: 'GET',
    path: '/rookery/sign-in',
    policy: 'public',
    group: 'page',
    ...none,
    reply: z.strictObject({
      /** Links in mails and providers lead here: a sign-in has to begin here too. */
      public_url: z.string().nullable(),
      providers: z.array(z.enum(IDENTITY_PROVIDERS)),
      sends_mail: z.boolean(),
      registration: z.enum(REGISTRATIONS),
    }),
    run: async ({ services }) => ok(await services.accounts.signInWays()),
    toWire: ({ publicUrl, providers, sendsMail, registration }) => ({
      data: { public_url: publicUrl, providers: [...providers], sends_mail: sendsMail, registration },
    }),
  }),
]

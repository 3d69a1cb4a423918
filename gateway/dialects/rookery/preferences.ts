import { z } from 'zod'
import type { Services } from '../../../node/services/services.ts'
import { none, routesFor } from '../../http/dialect.ts'

const { route } = routesFor<{ readonly services: Services; readonly version: string }>()

const Preferences = z.record(z.string(), z.unknown())

/** What clients remember for their user; no documented API has a place for it. */
export const preferenceRoutes = [
  route({
    doc: 'Preferences of the user',
    method: 'GET',
    path: '/rookery/preferences',
    policy: { ability: 'user:read' },
    errors: ['user_not_found'],
    ...none,
    reply: Preferences,
    run: ({ services }, { actor }) => services.accounts.preferences(actor),
    toWire: (data) => ({ data }),
  }),
  route({
    doc: 'Change preferences: null forgets one',
    method: 'PATCH',
    path: '/rookery/preferences',
    policy: { ability: 'token:manage' },
    errors: ['user_not_found', 'limit_reached'],
    params: none.params,
    query: none.query,
    body: Preferences,
    reply: Preferences,
    run: ({ services }, { actor, body }) => services.accounts.setPreferences(actor, body),
    toWire: (data) => ({ data }),
  }),
]

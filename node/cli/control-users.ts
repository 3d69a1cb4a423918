import { z } from 'zod'
import { ok } from '../../crdt/result.ts'
import { localActor, method, type ControlMethod } from './control-method.ts'

const email = z.string().min(3).max(254)
const role = z.enum(['owner', 'member']).default('member')

/** What the command line may ask about people. */
export const USER_METHODS = {
  'user.list': method(z.strictObject({}), ({ services }) => services.accounts.listUsers()),
  'user.add': method(
    z.strictObject({ name: z.string().min(1), email, role, password: z.string().optional() }),
    ({ services, self }, { password, ...user }) =>
      services.accounts.addUser(localActor(self), password === undefined ? user : { ...user, password }),
  ),
  'user.links': method(z.strictObject({}), async ({ heldMails }) => ok(heldMails())),
  'user.invite': method(
    z.strictObject({ email: email.optional(), role }),
    ({ services, self }, { email: invited, role: as }) =>
      services.accounts.inviteUser(
        localActor(self),
        invited === undefined ? { role: as } : { email: invited, role: as },
      ),
  ),
  'user.disable': method(z.strictObject({ user: z.string() }), ({ services, self }, { user }) =>
    services.accounts.disableUser(localActor(self), user),
  ),
  'user.resetPassword': method(z.strictObject({ user: z.string() }), ({ services, self }, { user }) =>
    services.accounts.resetPassword(localActor(self), user),
  ),
} as const satisfies Record<string, ControlMethod>

import type { AccountServiceDeps } from '../../node/services/accounts/account-service.ts'
import { crypto } from './identity.ts'
import { createSimHasher, type SimNode } from './services-mesh.ts'
import { createRecordedSignIn } from './sign-in-means.ts'

/** What the account service of a simulated node stands on. */
export const accountDepsOf = (node: SimNode): AccountServiceDeps => ({
  self: node.peer,
  documents: node.documents,
  membership: node.membership,
  boxSecretKey: node.boxSecretKey,
  clock: node.mesh.clock,
  random: node.random,
  log: node.log,
  leases: node.mesh.leases.of(node),
  crypto,
  hasher: createSimHasher(),
  registration: 'closed',
  signIn: createRecordedSignIn(),
})

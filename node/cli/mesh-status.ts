import type { PeerId } from '../../crdt/ids.ts'
import { createSigner } from '../adapters/node-crypto.ts'
import type { Accounts } from '../services/accounts/account-service.ts'
import { budgetProblems } from '../services/feeds/budget.ts'
import { createMeshService, type MeshService } from '../services/membership/mesh-service.ts'
import type { MeshCore, MeshNodeDeps } from './mesh-core.ts'

/** The mesh service of this node; its status says what any part of the node has found wrong. */
export function meshServiceOf(
  deps: MeshNodeDeps,
  core: MeshCore,
  { accounts, nameOf }: { accounts: Accounts; nameOf: (peer: PeerId) => string | undefined },
): MeshService {
  const { means, self, membership, presence, leases, network, documents, sync } = core
  return createMeshService({
    ...means,
    self,
    membership,
    presence,
    leases,
    nameOf,
    keyFromSeed: createSigner,
    addresses: () => network.addresses(),
    connectionOf: (peer) => network.connectionOf(peer),
    feedHeads: (peer) => documents.headsOf(peer),
    documents: async () =>
      documents
        .info()
        .map(({ doc, authors, envelopes, waiting }) => ({ id: doc, authors, envelopes, pending: waiting })),
    http: deps.http,
    setupCode: () => accounts.setupCode(),
    problemOf: (peer) =>
      sync.problems().get(peer) ??
      frozenOf(documents, peer) ??
      core.complaints.of(peer) ??
      (network.refusers().includes(peer) ? 'refuses this node' : null),
    problems: () => [...refusals(network), ...ownProblems(core), ...budgetProblems(documents.info())],
  })
}

type OfNode = Pick<MeshCore, 'self' | 'documents' | 'leases' | 'voter' | 'contacts' | 'problems'>

/** What keeps this node from doing all of its work, in words that say what helps. */
export const ownProblems = ({ self, documents, leases, voter, contacts, problems }: OfNode): string[] =>
  [
    documents.restoration.refusal(),
    // What is wrong with those who vote, this machine too, is shown with the voters.
    leases.voters().includes(self) ? undefined : voter.problem(),
    contacts.problem(),
    ...problems.map((ask) => ask()),
  ].filter((problem) => problem !== undefined)

function frozenOf(documents: MeshCore['documents'], peer: PeerId): string | undefined {
  const reason = documents.frozen().get(peer)
  return reason === undefined ? undefined : `frozen: ${reason}. Remove it (\`rookery remove\`)`
}

const refusals = (network: MeshCore['network']): string[] =>
  isRefused(network)
    ? [
        'Members of this mesh hang up on this node: it may have been removed. What is written here stays here; `rookery leave` starts over.',
      ]
    : []

/**
 * Members hang up on this node again and again, and none stays: how one that does not know of its removal notices. While
 * another member stays, it is the one that hangs up which is in trouble: a program that ends at each start does that, too.
 */
export const isRefused = (network: Pick<MeshCore['network'], 'refusers' | 'connected'>): boolean =>
  network.refusers().length > 0 && network.connected().length === 0

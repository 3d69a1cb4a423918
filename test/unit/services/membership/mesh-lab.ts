import type { PeerId } from '../../../../crdt/ids.ts'
import type { Capability } from '../../../../crdt/capability.ts'
import { toHex } from '../../../../protocols/codec.ts'
import { readFounderConfig } from '../../../../protocols/lease/config.ts'
import { Signatures } from '../../../../protocols/lease/signing.ts'
import { hasCapability, type Membership } from '../../../../protocols/membership/membership.ts'
import { parseTicket, type Ticket } from '../../../../protocols/ticket.ts'
import { serveJoins } from '../../../../node/services/membership/join-service.ts'
import { joinMesh, type JoinedMesh } from '../../../../node/services/membership/join-client.ts'
import {
  adoptMesh,
  createMesh,
  type MembershipService,
} from '../../../../node/services/membership/membership-service.ts'
import { createMeshService, type MeshServiceDeps } from '../../../../node/services/membership/mesh-service.ts'
import type { Result } from '../../../../crdt/result.ts'
import { createManualClock } from '../../../support/clock.ts'
import { createSeededRandom, crypto, identity } from '../../../support/identity.ts'
import { createSigner } from '../../../../node/adapters/node-crypto.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../../support/memory-network.ts'
import { createMemoryStore, type MemoryStore } from '../../../support/memory-store.ts'

export const boxKeyOf = (n: number): Uint8Array<ArrayBuffer> => new Uint8Array(32).fill(n)
export const never = new AbortController().signal

/** Nodes of one process over the memory network, with real keys and a clock that stands still. */
export function createLab() {
  const clock = createManualClock()
  const log = createRecordedLog()
  const network = createMemoryNetwork()
  const depsOf = (n: number, store: MemoryStore = createMemoryStore()) => ({
    store,
    crypto,
    signer: identity(n),
    clock,
    log,
    random: createSeededRandom(n),
  })
  return {
    clock,
    log,
    network,
    depsOf,
    founder: (addressOf?: (peer: PeerId) => string | undefined) =>
      foundMesh({ clock, log, network, depsOf }, addressOf),
  }
}
export type Lab = ReturnType<typeof createLab>

/** Node 0 with a mesh of its own, serving joins. */
async function foundMesh(
  lab: Pick<Lab, 'clock' | 'log' | 'network' | 'depsOf'>,
  addressOf: (peer: PeerId) => string | undefined = () => '127.0.0.1',
) {
  const deps = lab.depsOf(0)
  const membership = await createMesh(deps, { name: 'founder', boxKey: boxKeyOf(0), voterInc: '0'.repeat(32) })
  const mayOpen = (from: PeerId, { policy }: { policy: { who: string; capability?: Capability } }): boolean =>
    policy.who === 'anyone' ||
    (membership.current().members.has(from) &&
      (policy.capability === undefined || hasCapability(membership.current(), from, policy.capability)))
  const port = lab.network.join(identity(0).peer, mayOpen)
  const { clock, log } = lab
  serveJoins({ network: port, membership, crypto, clock, random: deps.random, log, addressOf })
  return { deps, membership, mesh: createMeshService(meshDeps(0, membership, lab)) }
}

export function meshDeps(
  n: number,
  membership: MembershipService,
  lab: Pick<Lab, 'clock'>,
  change: Partial<MeshServiceDeps> = {},
): MeshServiceDeps {
  return {
    self: identity(n).peer,
    membership,
    presence: {
      state: () => 'away',
      lastSeenWallMs: () => undefined,
      rttMs: () => undefined,
      lastRenewedMonoMs: () => undefined,
      onChange: () => () => undefined,
    },
    leases: { voters: () => votersIn(membership.current()) },
    crypto,
    clock: lab.clock,
    random: createSeededRandom(n + 100),
    keyFromSeed: createSigner,
    addresses: () => ['/ip4/127.0.0.1/tcp/4001'],
    connectionOf: () => undefined,
    feedHeads: () => new Map(),
    documents: async () => [],
    http: () => null,
    setupCode: () => undefined,
    problemOf: () => null,
    problems: () => [],
    ...change,
  }
}

/** Node `n` uses a ticket: network, handshake, log. */
export async function join(
  lab: Pick<Lab, 'clock' | 'log'> & { network: MemoryNetwork },
  n: number,
  ticket: Ticket,
  change: { name?: string; boxKey?: Uint8Array; signal?: AbortSignal } = {},
): Promise<Result<JoinedMesh>> {
  const port = lab.network.join(identity(n).peer)
  lab.network.connect(identity(n).peer, ticket.inviter)
  const { clock, log } = lab
  const self = { name: change.name ?? `node ${n}`, boxKey: change.boxKey ?? boxKeyOf(n) }
  const deps = { network: port, crypto, signer: identity(n), clock, log, keyFromSeed: createSigner, self }
  return await joinMesh(deps, ticket, change.signal ?? never)
}

/** A ticket from the text the service answered with. */
export async function ticketFrom(lab: Lab, invited: ReturnType<ReturnType<typeof createMeshService>['invite']>) {
  const made = await invited
  if (!made.ok) throw new Error(made.error.message)
  const parsed = parseTicket(crypto, made.value.ticket, lab.clock.wallMs())
  if (!parsed.ok) throw new Error(parsed.error.message)
  return parsed.value
}

/** The whole way of a new node: ticket, handshake, log, store. */
export async function addNode(
  lab: Lab,
  home: Awaited<ReturnType<typeof foundMesh>>,
  n: number,
  capabilities?: readonly Capability[],
) {
  const ticket = await ticketFrom(lab, home.mesh.invite(capabilities ? { capabilities } : {}))
  const joined = await join(lab, n, ticket)
  if (!joined.ok) throw new Error(joined.error.message)
  const deps = lab.depsOf(n)
  const adopted = await adoptMesh(deps, joined.value.records, joined.value.mesh)
  if (!adopted.ok) throw new Error(adopted.error.message)
  return { deps, membership: adopted.value, mesh: createMeshService(meshDeps(n, adopted.value, lab)) }
}

export const hexes = (all: readonly Uint8Array[]): string[] => all.map(toHex)
export const codeOf = (result: Result<unknown>): string => (result.ok ? 'ok' : result.error.code)

/** Of the first epoch: nobody changes the voters here. */
function votersIn({ leaseConfig, mesh: space, founder }: Membership): PeerId[] {
  if (!leaseConfig) return []
  const set = readFounderConfig(new Signatures({ crypto, signer: identity(0) }), leaseConfig, { space, founder })
  return [...set.incarnations.keys()]
}

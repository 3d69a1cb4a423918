import type { Capability } from '../../../crdt/capability.ts'
import type { MeshId, PeerId } from '../../../crdt/ids.ts'
import type { Membership, RecordedVoterSet } from '../../../protocols/membership/membership.ts'

export const SPACE = 'ab'.repeat(32) as MeshId

/** What is in the membership log of a simulated mesh, besides its first members. */
export type LogRecord =
  | { readonly is: 'voters'; readonly set: RecordedVoterSet }
  | { readonly is: 'fault'; readonly proof: Uint8Array }
  | { readonly is: 'removal'; readonly peer: PeerId }

/** A set of records says the same in whatever order they came. */
export function withRecord(before: Membership, record: LogRecord): Membership {
  if (record.is === 'voters') return { ...before, voterSets: [...before.voterSets, record.set] }
  if (record.is === 'fault') return { ...before, voterFaults: [...before.voterFaults, record.proof] }
  const members = new Map(before.members)
  members.delete(record.peer)
  const removed = new Map(before.removed).set(record.peer, new Map())
  return { ...before, members, removed }
}

export type Founding = { readonly peers: readonly PeerId[]; readonly admins: number; readonly leaseConfig: Uint8Array }

/** The first so many of the peers are admins. */
export function foundingMembership({ peers, admins, leaseConfig }: Founding): Membership {
  const [founder] = peers
  if (!founder) throw new RangeError('a mesh has at least one member')
  const member = (peer: PeerId, seniority: number) => ({
    peer,
    name: nameOfNode(seniority),
    boxKey: new Uint8Array(32),
    capabilities: new Set<Capability>(seniority < admins ? ['admin'] : []),
    seniority,
  })
  return {
    mesh: SPACE,
    founder,
    members: new Map(peers.map((peer, i) => [peer, member(peer, i)])),
    removed: new Map(),
    invites: new Map(),
    leaseConfig,
    voterSets: [],
    voterFaults: [],
    recoveryKeys: [],
    voided: new Set(),
    heads: [],
  }
}

export const nameOfNode = (n: number): string => `node ${n}`

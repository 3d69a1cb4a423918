import { CAPABILITIES, type Capability } from '../../crdt/capability.ts'
import type { PeerId } from '../../crdt/ids.ts'
import { toHex } from '../codec.ts'
import { bySeniority, type GraphNode, isAncestor, type RecordGraph } from './graph.ts'
import { type KnownRecord, knownCapabilities } from './records.ts'

/** The records of a log by what they are about, each list from senior to junior. */
export type LogIndex = {
  readonly nodes: readonly GraphNode[]
  readonly genesis: GraphNode
  /** Admissions, capability changes, recoveries and removals of a peer. */
  readonly about: ReadonlyMap<PeerId, readonly GraphNode[]>
  readonly by: ReadonlyMap<PeerId, readonly GraphNode[]>
  /** By hex id of the invite record. */
  readonly invites: ReadonlyMap<string, InviteUse>
  /** By hex id, from senior to junior. */
  readonly recoveryKeys: ReadonlyMap<string, GraphNode>
}

export type InviteUse = {
  readonly invite: GraphNode | undefined
  readonly admissions: readonly GraphNode[]
  readonly revocations: readonly GraphNode[]
}

/** What a peer is in the eyes of one record, or at the end. */
export type Standing = {
  readonly capabilities: ReadonlySet<Capability>
  /** The record that made it a member: its seniority. */
  readonly admission: GraphNode
}

export const NO_USE: InviteUse = { invite: undefined, admissions: [], revocations: [] }

const ALL: ReadonlySet<Capability> = new Set(CAPABILITIES)

export function indexLog(graph: RecordGraph): LogIndex {
  const nodes = graph.nodes.toSorted(bySeniority)
  const genesis = nodes[0]
  if (genesis?.record.act.type !== 'genesis') throw new Error('a membership log begins with its genesis')
  const about = new Map<PeerId, GraphNode[]>()
  const by = new Map<PeerId, GraphNode[]>()
  const invites = new Map<
    string,
    { invite: GraphNode | undefined; admissions: GraphNode[]; revocations: GraphNode[] }
  >()
  const recoveryKeys = new Map<string, GraphNode>()
  const use = (key: string): { invite: GraphNode | undefined; admissions: GraphNode[]; revocations: GraphNode[] } => {
    const known = invites.get(key)
    if (known) return known
    const fresh = { invite: graph.find(key), admissions: [], revocations: [] }
    invites.set(key, fresh)
    return fresh
  }
  for (const node of nodes) {
    const { act, author, key } = node.record
    append(by, author, node)
    if (act.type === 'genesis' || act.type === 'recover') append(about, author, node)
    if (act.type === 'admit' || act.type === 'setCapabilities' || act.type === 'remove') append(about, act.peer, node)
    if (act.type === 'recoveryKey') recoveryKeys.set(key, node)
    if (act.type === 'invite') use(key)
    if (act.type === 'admit') use(toHex(act.invite)).admissions.push(node)
    if (act.type === 'revokeInvite') use(toHex(act.invite)).revocations.push(node)
  }
  return { nodes, genesis, about, by, invites, recoveryKeys }
}

/**
 * What a peer is, going by the records that count. Undefined for somebody who is no member: never admitted, or removed
 * (a removed key never comes back, whatever admits it again). Of concurrent capability changes only what all of them
 * grant is held.
 */
export function standingOf(index: LogIndex, peer: PeerId, counts: (node: GraphNode) => boolean): Standing | undefined {
  const facts = (index.about.get(peer) ?? []).filter(counts)
  if (facts.some(({ record }) => record.act.type === 'remove')) return undefined
  const admission = facts.find(({ record }) => record.act.type === 'genesis' || record.act.type === 'admit')
  if (!admission) return undefined
  const latest = latestChanges(facts)
  const granted = (latest.length > 0 ? latest : [admission]).map(grantOf)
  return { admission, capabilities: new Set(CAPABILITIES.filter((name) => granted.every((set) => set.has(name)))) }
}

/** What the author must hold for the record to have an effect. */
export function needsOf(index: LogIndex, node: GraphNode): readonly Capability[] {
  const { act, author } = node.record
  switch (act.type) {
    case 'admit':
    case 'invite':
      return ['admit', ...knownCapabilities(act.capabilities)]
    case 'recoveryKey':
    case 'setCapabilities':
      return ['admin', ...knownCapabilities(act.capabilities)]
    case 'remove':
      return act.peer === author ? [] : ['admin']
    case 'revokeInvite':
      return index.invites.get(toHex(act.invite))?.invite?.record.author === author ? [] : ['admin']
    case 'recover':
      return keptBy(index.recoveryKeys.get(toHex(act.recoveryKey)), act)
    case 'forcedVoterSet':
      return ['admin']
    case 'genesis':
    case 'leaseConfig':
    case 'voterSet':
    case 'voterFault':
    case 'opaque':
      break
  }
  return []
}

/** What a recovery names beyond what its key gives: only what the author holds already. */
export function keptBy(
  key: GraphNode | undefined,
  { capabilities }: Extract<KnownRecord, { type: 'recover' }>,
): readonly Capability[] {
  const act = key?.record.act
  const given = act?.type === 'recoveryKey' ? act.capabilities : []
  return knownCapabilities(capabilities.filter((name) => !given.includes(name)))
}

/** What one admission or capability change gives. */
export function grantOf({ record: { act } }: GraphNode): ReadonlySet<Capability> {
  if (act.type === 'genesis') return ALL
  if (act.type === 'admit' || act.type === 'setCapabilities' || act.type === 'recover')
    return new Set(knownCapabilities(act.capabilities))
  return new Set()
}

/** Capability changes and recoveries that no other of them has seen. `facts` come from senior to junior, so ancestors come first. */
function latestChanges(facts: readonly GraphNode[]): GraphNode[] {
  const latest: GraphNode[] = []
  for (const node of facts.toReversed()) {
    if (!isChange(node)) continue
    if (!latest.some((later) => isAncestor(node, later))) latest.push(node)
  }
  return latest
}

const isChange = ({ record: { act } }: GraphNode): boolean => act.type === 'setCapabilities' || act.type === 'recover'

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key)
  if (list) list.push(value)
  else lists.set(key, [value])
}

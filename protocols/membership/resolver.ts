import type { DocId, PeerId } from '../../crdt/ids.ts'
import { toHex } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import { admissionRefusal } from './admission.ts'
import { isAuthorised } from './attacks.ts'
import { bySeniority, createRecordGraph, type GraphNode, isAncestor, type RecordGraph } from './graph.ts'
import { effectiveRecords } from './labels.ts'
import { indexLog, type InviteUse, type LogIndex, needsOf, standingOf } from './log-index.ts'
import type { FeedCut, Member, Membership, OpenInvite, RecoveryKey } from './membership.ts'
import { knownCapabilities, type LogRecord } from './records.ts'
import { voterFaultsOf, voterSetsOf } from './voter-sets.ts'

/** What became of an invitation. */
export type InviteState =
  | { readonly is: 'open'; readonly invite: OpenInvite }
  | { readonly is: 'used'; readonly by: PeerId; readonly inviteKey: Uint8Array }
  /** Revoked, or its maker may no longer admit what it promises. */
  | { readonly is: 'withdrawn'; readonly inviteKey: Uint8Array }
  | { readonly is: 'unknown' }

export type Resolution = {
  readonly membership: Membership
  /** Hex ids of the records that have effect. */
  readonly effective: ReadonlySet<string>
  /** By the hex id of the invite record. */
  invite(id: string): InviteState
  /** Whether a record made now, in knowledge of everything resolved here, would have effect. */
  allows(node: GraphNode): boolean
}

/**
 * The membership that a set of records adds up to: a pure function of the set, whatever the order.
 * @throws when none of them is a genesis.
 */
export function resolveRecords(crypto: Crypto, records: Iterable<LogRecord>): Resolution {
  return resolve(graphOf(crypto, records))
}

/** As `resolveRecords`, for a log that is already in order. */
export function resolve(graph: RecordGraph): Resolution {
  const index = indexLog(graph)
  const effective = effectiveRecords(index)
  const counts = (node: GraphNode): boolean => effective.has(node)
  const keys = new Set([...effective].map(({ record }) => record.key))
  const invite = (id: string): InviteState => inviteState(index, index.invites.get(id), counts)
  const members = membersOf(index, counts)
  const removed = removalsOf(index, counts)
  const membership: Membership = {
    mesh: index.genesis.record.mesh,
    founder: index.genesis.record.author,
    members,
    removed,
    voided: new Set(
      [...index.about.keys()].filter((peer) => wasAdmitted(index, peer) && !members.has(peer) && !removed.has(peer)),
    ),
    invites: openInvites(index, counts),
    leaseConfig: leaseConfigOf(index, counts),
    recoveryKeys: recoveryKeysOf(index, counts),
    voterSets: voterSetsOf(index, counts),
    voterFaults: voterFaultsOf(index),
    heads: graph.heads().map(({ record }) => record.id),
  }
  return { membership, effective: keys, invite, allows: (node) => isAuthorised(index, node, counts) }
}

/**
 * Puts records in an order in which parents come first. Left out are those that no log admits, and those whose parents
 * are missing. Of several genesis records the first given counts.
 */
export function graphOf(crypto: Crypto, records: Iterable<LogRecord>): RecordGraph {
  const graph = createRecordGraph()
  let waiting = [...new Map([...records].map((record) => [record.key, record])).values()]
  for (let before = Infinity; waiting.length < before;) {
    before = waiting.length
    waiting = waiting.filter((record) => {
      if (graph.nodes.length === 0 && record.act.type !== 'genesis') return true
      if (graph.missingParents(record).length > 0) return true
      if (admissionRefusal(crypto, graph, graph.place(record)) === undefined) graph.add(record)
      return false
    })
  }
  return graph
}

function membersOf(index: LogIndex, counts: (node: GraphNode) => boolean): Map<PeerId, Member> {
  const admissions = [...index.about]
    .map(([peer, facts]) => ({ peer, first: facts.filter(counts).find(isAdmission) }))
    .filter((entry): entry is { peer: PeerId; first: GraphNode } => entry.first !== undefined)
    .toSorted((a, b) => bySeniority(a.first, b.first))
  const members = new Map<PeerId, Member>()
  for (const [seniority, { peer }] of admissions.entries()) {
    const standing = standingOf(index, peer, counts)
    const act = standing?.admission.record.act
    if (!standing || !(act?.type === 'genesis' || act?.type === 'admit')) continue
    const { name, boxKey } = act
    members.set(peer, { peer, name, boxKey, capabilities: standing.capabilities, seniority })
  }
  return members
}

/**
 * Several admins may remove one member, each with what it had accepted: the feed ends at the furthest of their cuts,
 * since every envelope before it may be what a remaining member's builds upon.
 */
function removalsOf(index: LogIndex, counts: (node: GraphNode) => boolean): Map<PeerId, Map<DocId, FeedCut>> {
  const removed = new Map<PeerId, Map<DocId, FeedCut>>()
  for (const { record } of index.nodes.filter(counts)) {
    if (record.act.type !== 'remove') continue
    const cuts = removed.get(record.act.peer) ?? new Map<DocId, FeedCut>()
    removed.set(record.act.peer, cuts)
    for (const [doc, cut] of cutsOf(record.act.cuts)) {
      const known = cuts.get(doc)
      if (!known || isFurther(cut, known)) cuts.set(doc, cut)
    }
  }
  return removed
}

function openInvites(index: LogIndex, counts: (node: GraphNode) => boolean): Map<string, OpenInvite> {
  const open = new Map<string, OpenInvite>()
  for (const use of index.invites.values()) {
    const state = inviteState(index, use, counts)
    if (state.is === 'open') open.set(state.invite.id, state.invite)
  }
  return open
}

function inviteState(index: LogIndex, use: InviteUse | undefined, counts: (node: GraphNode) => boolean): InviteState {
  const invite = use?.invite
  if (!use || invite?.record.act.type !== 'invite') return { is: 'unknown' }
  const { inviteKey, capabilities, expiresAt } = invite.record.act
  const admission = use.admissions.find(counts)?.record.act
  if (admission?.type === 'admit') return { is: 'used', by: admission.peer, inviteKey }
  const inviter = invite.record.author
  const held = standingOf(index, inviter, counts)?.capabilities
  const stands = counts(invite) && !use.revocations.some(counts)
  if (!stands || !held || !needsOf(index, invite).every((needed) => held.has(needed)))
    return { is: 'withdrawn', inviteKey }
  const granted = knownCapabilities(capabilities)
  const id = invite.record.key
  return { is: 'open', invite: { id, inviter, inviteKey, capabilities: granted, expiresAtMs: expiresAt } }
}

function leaseConfigOf(index: LogIndex, counts: (node: GraphNode) => boolean): Uint8Array | undefined {
  const first = index.nodes.find((node) => node.record.act.type === 'leaseConfig' && counts(node))
  return first?.record.act.type === 'leaseConfig' ? first.record.act.config : undefined
}

function recoveryKeysOf(index: LogIndex, counts: (node: GraphNode) => boolean): RecoveryKey[] {
  const keys = [...index.recoveryKeys.values()].filter(counts)
  const current = keys.filter((key) => !keys.some((later) => isAncestor(key, later)))
  return current.flatMap(({ record: { act, key: id, author: by } }) => {
    if (act.type !== 'recoveryKey') return []
    return [{ id, publicKey: act.key, capabilities: knownCapabilities(act.capabilities), by, atMs: act.at }]
  })
}

const wasAdmitted = (index: LogIndex, peer: PeerId): boolean => index.about.get(peer)?.some(isAdmission) === true

const isAdmission = ({ record: { act } }: GraphNode): boolean => act.type === 'genesis' || act.type === 'admit'

const isFurther = (a: FeedCut, b: FeedCut): boolean =>
  a.seq > b.seq || (a.seq === b.seq && toHex(a.hash) < toHex(b.hash))

const cutsOf = (cuts: Readonly<Record<DocId, FeedCut>>): [DocId, FeedCut][] => {
  // Keys went through the schema; `Object.entries` only forgets their brand.
  return Object.entries(cuts) as [DocId, FeedCut][]
}

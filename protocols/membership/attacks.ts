import { type GraphNode, isAncestor, isConcurrent } from './graph.ts'
import { type LogIndex, needsOf, NO_USE, standingOf } from './log-index.ts'
import { toHex } from '../codec.ts'
import type { KnownRecord } from './records.ts'

type Recover = Extract<KnownRecord, { type: 'recover' }>

/** What the fate of a record depends on. */
export type Grounds = {
  /** Ancestors that say whether its author may do this. */
  readonly authority: readonly GraphNode[]
  /** Concurrent records that void it if they have effect themselves. */
  readonly attackers: readonly GraphNode[]
}

export function groundsOf(index: LogIndex, node: GraphNode): Grounds {
  return {
    authority: authorityOf(index, node).filter((fact) => isAncestor(fact, node)),
    attackers: attackersOf(index, node),
  }
}

/** Whether the author might do this, going by those of the record's ancestors that have effect. */
export function isAuthorised(index: LogIndex, node: GraphNode, isEffective: (node: GraphNode) => boolean): boolean {
  const { act, author } = node.record
  if (act.type === 'genesis') return node === index.genesis
  const counts = (fact: GraphNode): boolean => isAncestor(fact, node) && isEffective(fact)
  const standing = standingOf(index, author, counts)
  if (!standing || !needsOf(index, node).every((needed) => standing.capabilities.has(needed))) return false
  if (act.type === 'recover') return isByCurrentKey(index, act, counts)
  if (act.type !== 'admit') return true
  const { invite, admissions, revocations } = index.invites.get(toHex(act.invite)) ?? NO_USE
  return invite !== undefined && counts(invite) && !admissions.some(counts) && !revocations.some(counts)
}

/** Whether the key has effect and no key that does was made in its place, among the records that count. */
function isByCurrentKey(index: LogIndex, act: Recover, counts: (node: GraphNode) => boolean): boolean {
  const key = index.recoveryKeys.get(toHex(act.recoveryKey))
  return key !== undefined && counts(key) && !replacementsOf(index, act).some(counts)
}

/** Recovery keys whose authors knew the one that is used here. */
function replacementsOf(index: LogIndex, act: Recover): GraphNode[] {
  const key = index.recoveryKeys.get(toHex(act.recoveryKey))
  return key ? [...index.recoveryKeys.values()].filter((other) => isAncestor(key, other)) : []
}

/**
 * Only facts about the author and the invite or key it uses: anything more would let a removed member drag other
 * people's acts into its own conflict.
 */
function authorityOf(index: LogIndex, { record: { act, author } }: GraphNode): readonly GraphNode[] {
  const standing = index.about.get(author) ?? []
  if (act.type === 'recover') return [...standing, ...index.recoveryKeys.values()]
  if (act.type !== 'admit') return standing
  const { invite, admissions, revocations } = index.invites.get(toHex(act.invite)) ?? NO_USE
  return [...standing, ...(invite ? [invite] : []), ...admissions, ...revocations]
}

/** Concurrent records that void this one if they have effect: each is a known way in which a right was taken away. */
export function attackersOf(index: LogIndex, node: GraphNode): GraphNode[] {
  const { act, author } = node.record
  const needs = needsOf(index, node)
  const attackers = (index.about.get(author) ?? []).filter((fact) => {
    if (!isConcurrent(fact, node)) return false
    const { act: change } = fact.record
    // Leaving twice is leaving: no need for thousands of them to contest each other.
    if (change.type === 'remove') return !(isLeaving(fact) && isLeaving(node))
    if (change.type !== 'setCapabilities') return false
    return needs.some((needed) => !change.capabilities.includes(needed))
  })
  if (act.type === 'recover')
    return [...attackers, ...replacementsOf(index, act).filter((key) => isConcurrent(key, node))]
  if (act.type !== 'admit') return attackers
  const { admissions, revocations } = index.invites.get(toHex(act.invite)) ?? NO_USE
  const rivals = admissions.filter((other) => other.record.key < node.record.key)
  return [...attackers, ...[...rivals, ...revocations].filter((other) => isConcurrent(other, node))]
}

const isLeaving = ({ record: { act, author } }: GraphNode): boolean => act.type === 'remove' && act.peer === author

import { type GraphNode, isAncestor, isConcurrent } from './graph.ts'
import { type LogIndex, needsOf, NO_USE, standingOf } from './log-index.ts'
import { toHex } from '../codec.ts'
import type { KnownRecord, LogRecord } from './records.ts'

type Recover = Extract<KnownRecord, { type: 'recover' }>

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
export function authorityOf(index: LogIndex, { record: { act, author } }: GraphNode): readonly GraphNode[] {
  const standing = index.about.get(author) ?? []
  if (act.type === 'recover') return [...standing, ...index.recoveryKeys.values()]
  if (act.type !== 'admit') return standing
  const { invite, admissions, revocations } = index.invites.get(toHex(act.invite)) ?? NO_USE
  return [...standing, ...(invite ? [invite] : []), ...admissions, ...revocations]
}

/** Concurrent records that void this one if they have effect: each is a known way in which a right was taken away. */
export function attackersOf(index: LogIndex, node: GraphNode): GraphNode[] {
  const changes = (index.about.get(node.record.author) ?? []).filter((fact) => takesFrom(index, fact, node))
  return [...changes, ...rivalsOf(index, node)].filter((other) => isConcurrent(other, node))
}

/** Whether a record about the author takes away what this one needs, if they are concurrent. */
export function takesFrom(index: LogIndex, { record }: GraphNode, node: GraphNode): boolean {
  const { act: change } = record
  // Leaving twice is leaving: no need for thousands of them to contest each other.
  if (change.type === 'remove') return !(isLeaving(record) && isLeaving(node.record))
  if (change.type !== 'setCapabilities') return false
  return needsOf(index, node).some((needed) => !change.capabilities.includes(needed))
}

/** Beside changes of the author's rights: other uses of the same invite, and other recovery keys. */
export function rivalsOf(index: LogIndex, { record: { act, key } }: GraphNode): readonly GraphNode[] {
  if (act.type === 'recover') return replacementsOf(index, act)
  if (act.type !== 'admit') return []
  const { admissions, revocations } = index.invites.get(toHex(act.invite)) ?? NO_USE
  return [...admissions.filter((other) => other.record.key < key), ...revocations]
}

export const isLeaving = ({ act, author }: LogRecord): boolean => act.type === 'remove' && act.peer === author

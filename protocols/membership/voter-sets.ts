import type { GraphNode } from './graph.ts'
import type { LogIndex } from './log-index.ts'
import type { RecordedVoterSet } from './membership.ts'

/**
 * Half of what a log holds, and more changes than a mesh lives to see. The senior ones are kept: each epoch is verified
 * by the one before, so a chain may lose its end and never its beginning.
 */
export const VOTER_SETS_MAX = 4096

/** One is enough to convict a voter, and a mesh has 63 at most at a time. */
export const VOTER_FAULTS_MAX = 1024

export const voterFaultsOf = (index: LogIndex): readonly Uint8Array[] =>
  index.nodes
    .flatMap(({ record: { act } }) => (act.type === 'voterFault' ? [act.proof] : []))
    .slice(0, VOTER_FAULTS_MAX)

/** The voter sets of later epochs, in the order of seniority. */
export function voterSetsOf(index: LogIndex, counts: (node: GraphNode) => boolean): readonly RecordedVoterSet[] {
  return index.nodes.flatMap((node) => voterSetOf(node, counts) ?? []).slice(0, VOTER_SETS_MAX)
}

function voterSetOf(node: GraphNode, counts: (node: GraphNode) => boolean): RecordedVoterSet | undefined {
  const { act, author: by } = node.record
  if (act.type === 'voterSet') return { kind: 'sealed', bytes: act.cert, by }
  if (act.type !== 'forcedVoterSet' || !counts(node)) return undefined
  return { kind: 'forced', bytes: act.config, reason: act.reason, by }
}

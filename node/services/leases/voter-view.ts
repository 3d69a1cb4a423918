import type { PeerId } from '../../../crdt/ids.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { VotersView, VoterView } from './voter-service.ts'
import type { VoterSets } from './voter-sets.ts'

export type VoterViewDeps = {
  readonly sets: VoterSets
  readonly membership: () => Membership
  readonly nameOf: (peer: PeerId) => string
  readonly isOnline: (peer: PeerId) => boolean
  readonly ownProblem: string | undefined
  readonly self: PeerId
  readonly waitsMs: number
}

const faultSentence = (name: string): string =>
  `${name} has signed two grants that contradict each other: as a voter it is excluded. Replace it: \`rookery voters set\`.`

/** Who votes, and what is wrong with those who do, as this node sees it. */
export function viewVoters(deps: VoterViewDeps): VotersView {
  const { sets, self, waitsMs } = deps
  const current = sets.current()
  if (!current) return { epoch: 0, quorum: 0, voters: [], isForced: false, grantsAgainInMs: null }
  const { set, origin } = current
  const voters = [...set.incarnations].map(([peer, inc]) => viewOf(deps, peer, inc))
  const isWaiting = waitsMs > 0 && set.incarnations.has(self)
  return {
    epoch: set.epoch,
    quorum: set.quorum,
    voters,
    isForced: origin.is === 'forced',
    grantsAgainInMs: isWaiting ? Math.ceil(waitsMs) : null,
  }
}

function viewOf(deps: VoterViewDeps, peerId: PeerId, inc: string): VoterView {
  const { sets, membership, nameOf, isOnline, self, ownProblem } = deps
  const name = nameOf(peerId)
  const problem = (): string | null => {
    if (!membership().members.has(peerId)) return 'is no member any more: replace it with `rookery voters set`'
    if (sets.isConvicted(peerId, inc)) return faultSentence(name)
    return peerId === self ? (ownProblem ?? null) : null
  }
  return { peerId, name, online: peerId === self || isOnline(peerId), problem: problem() }
}

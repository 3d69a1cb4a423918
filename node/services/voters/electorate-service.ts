import type { PeerId } from '../../../crdt/ids.ts'
import { ok, type Result } from '../../../crdt/result.ts'
import { hasCapability, type Member } from '../../../protocols/membership/membership.ts'
import { sortedCapabilities } from '../../../protocols/membership/records.ts'
import type { Log } from '../../ports/log.ts'
import type { VoterChange, VoterService, VotersView } from '../leases/voter-service.ts'
import type { MembershipService } from '../membership/membership-service.ts'
import type { Presence } from '../sync/presence.ts'
import type { AvailabilityWatch } from './availability-watch.ts'
import { isEligible, suggestVoters } from './voter-suggestion.ts'

/** A machine that votes, or could. */
export type ElectorView = {
  readonly peerId: PeerId
  readonly name: string
  readonly online: boolean
  readonly voter: boolean
  /** There often enough for others to depend on its vote. */
  readonly eligible: boolean
  /** Share of the minutes in which it could be reached, as seen from this node; null while nothing was observed. */
  readonly availability: number | null
  readonly observedHours: number
  readonly alwaysOn: boolean
  /** What keeps its vote from counting, if it is a voter. */
  readonly problem: string | null
}

export type ElectorateView = Pick<VotersView, 'epoch' | 'quorum' | 'isForced' | 'grantsAgainInMs'> & {
  /** All members from senior to junior, then voters that are members no more. */
  readonly machines: readonly ElectorView[]
  /** What keeps votes from counting, in sentences that name the voter. */
  readonly problems: readonly string[]
  /** The voter set the mesh would do better with, as peer ids; null when the present one is as good. */
  readonly suggestion: readonly PeerId[] | null
}

/** Who votes, who could, and who should. */
export type ElectorateService = {
  view(): ElectorateView
  /** As `VoterService.set`; also grants the capability `vote` to the new voters, as far as this node may. */
  set(change: VoterChange, signal?: AbortSignal): Promise<Result<ElectorateView>>
}

export type ElectorateDeps = {
  readonly self: PeerId
  readonly voters: VoterService
  readonly membership: Pick<MembershipService, 'current' | 'author'>
  readonly presence: Pick<Presence, 'state'>
  readonly availability: Pick<AvailabilityWatch, 'of'>
  readonly isAlwaysOn: (peer: PeerId) => boolean
  readonly nameOf: (peer: PeerId) => string
  readonly log: Log
}

export function createElectorateService(deps: ElectorateDeps): ElectorateService {
  return {
    view: () => viewOf(deps),
    async set(change, signal) {
      const decided = await deps.voters.set(change, signal)
      if (!decided.ok) return decided
      for (const { peerId } of decided.value.voters) await grantVote(deps, peerId)
      return ok(viewOf(deps))
    },
  }
}

function viewOf(deps: ElectorateDeps): ElectorateView {
  const { epoch, quorum, isForced, grantsAgainInMs, voters } = deps.voters.view()
  const { members } = deps.membership.current()
  const seniors = [...members.values()].toSorted((a, b) => a.seniority - b.seniority)
  const candidates = seniors.map(({ peer }) => ({
    peer,
    availability: deps.availability.of(peer),
    isAlwaysOn: deps.isAlwaysOn(peer),
  }))
  const machines = [
    ...seniors.map((member) => electorOf(deps, member, voters)),
    ...voters.filter(({ peerId }) => !members.has(peerId)).map(formerMember),
  ]
  const present = voters.map(({ peerId }) => peerId)
  const suggestion = suggestVoters(candidates, present)
  return { epoch, quorum, isForced, grantsAgainInMs, machines, problems: machines.flatMap(problemOf), suggestion }
}

const problemOf = ({ name, problem }: ElectorView): string[] =>
  problem === null ? [] : [`The voter ${name}: ${problem}`]

function electorOf(deps: ElectorateDeps, { peer }: Member, voters: VotersView['voters']): ElectorView {
  const availability = deps.availability.of(peer)
  const alwaysOn = deps.isAlwaysOn(peer)
  const vote = voters.find(({ peerId }) => peerId === peer)
  return {
    peerId: peer,
    name: deps.nameOf(peer),
    online: peer === deps.self || deps.presence.state(peer) === 'online',
    voter: vote !== undefined,
    eligible: isEligible({ availability, isAlwaysOn: alwaysOn }),
    availability: availability.share,
    observedHours: Math.floor(availability.observedMinutes / 60),
    alwaysOn,
    problem: vote?.problem ?? null,
  }
}

const formerMember = ({ peerId, name, problem }: VotersView['voters'][number]): ElectorView => ({
  peerId,
  name,
  online: false,
  voter: true,
  eligible: false,
  availability: null,
  observedHours: 0,
  alwaysOn: false,
  problem: problem ?? 'is no member any more: its vote does not count; choose another voter',
})

/** The set is decided whatever becomes of this: the capability only tells people and programs that a machine votes. */
async function grantVote({ self, membership, log }: ElectorateDeps, peer: PeerId): Promise<void> {
  const granted = await membership.author(({ resolution: { membership: current } }) => {
    const held = current.members.get(peer)?.capabilities
    if (!held || held.has('vote')) return ok(undefined)
    const wanted = sortedCapabilities([...held, 'vote'])
    const own = current.members.get(self)?.capabilities
    const mayGrant =
      hasCapability(current, self, 'admin') && own && [...held, 'vote' as const].every((name) => own.has(name))
    return ok(mayGrant ? { type: 'setCapabilities', peer, capabilities: wanted } : undefined)
  })
  if (!granted.ok) log.warn({ peer, error: granted.error }, 'a new voter could not be given the capability `vote`')
}

import type { PeerId } from '../../../crdt/ids.ts'
import { type Availability, MINUTES_PER_HOUR } from './availability.ts'

/** Below this a quorum would often be missing: of machines that are up 40 % of the time, three serve 64 % of it. */
export const AVAILABLE_SHARE_MIN = 0.95
/** A night has to be in it. */
export const OBSERVED_MINUTES_MIN = 24 * MINUTES_PER_HOUR

/** A member of the mesh, as the choice of voters looks at it. */
export type Candidate = { readonly peer: PeerId; readonly availability: Availability; readonly isAlwaysOn: boolean }

/** Whether a machine is there often enough for others to depend on its vote. */
export function isEligible({ availability: { observedMinutes, share }, isAlwaysOn }: Omit<Candidate, 'peer'>): boolean {
  return isAlwaysOn || (observedMinutes >= OBSERVED_MINUTES_MIN && (share ?? 0) >= AVAILABLE_SHARE_MIN)
}

/**
 * The voter set that these members would do better with: five where five are eligible, else three, never fewer than
 * now. Voters that are eligible stay, the most available of the others come; null when the present set is as good.
 * `candidates` are the members from senior to junior; `present` may name machines that are members no more.
 */
export function suggestVoters(candidates: readonly Candidate[], present: readonly PeerId[]): readonly PeerId[] | null {
  const isVoter = (candidate: Candidate): boolean => present.includes(candidate.peer)
  const eligible = candidates.filter(isEligible)
  const staying = candidates.filter(isVoter)
  const ranked = [
    ...eligible.filter(isVoter),
    ...eligible.filter((candidate) => !isVoter(candidate)).toSorted((a, b) => shareOf(b) - shareOf(a)),
    // Never fewer than now: whoever votes already fills the places that no eligible machine takes.
    ...staying.filter((candidate) => !isEligible(candidate)),
  ]
  const chosen = ranked.slice(0, Math.max(sizeFor(eligible.length), staying.length))
  const isBetter = chosen.filter(isEligible).length > staying.filter(isEligible).length
  return isBetter ? chosen.map(({ peer }) => peer) : null
}

/** One voter is a fair set too, as long as it is there. */
const sizeFor = (eligible: number): number => (eligible >= 5 ? 5 : eligible >= 3 ? 3 : Math.min(eligible, 1))

/** What nobody has observed yet is taken at its owner's word. */
const shareOf = ({ availability: { share }, isAlwaysOn }: Candidate): number => share ?? (isAlwaysOn ? 1 : 0)

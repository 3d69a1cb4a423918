import { ok } from '../../../crdt/result.ts'
import { decodeCanonical, equalBytes, MalformedError } from '../../../protocols/codec.ts'
import { SealCertificate } from '../../../protocols/lease/ballot.ts'
import { SEAL_CERTIFICATE_BYTES_MAX } from '../../../protocols/lease/epochs.ts'
import type { MembershipService } from '../membership/membership-service.ts'
import type { VoterLog } from './voter-change.ts'

/** Writes what concerns the voters into the membership log, once. */
export function createVoterLog({ author }: Pick<MembershipService, 'author'>): VoterLog {
  return {
    publishSealed: (cert) =>
      author(({ resolution }) => {
        const known = resolution.membership.voterSets.filter(({ kind }) => kind === 'sealed')
        const isKnown = known.some(({ bytes }) => decidesTheSame(bytes, cert))
        return ok(isKnown ? undefined : { type: 'voterSet', cert })
      }),
    publishForced: (config, reason) => author(() => ok({ type: 'forcedVoterSet', config, reason })),
    publishFault: (proof) => author(() => ok({ type: 'voterFault', proof })),
  }
}

/** Proposers that completed one decision may hold the seals of different quorums. */
function decidesTheSame(a: Uint8Array, b: Uint8Array): boolean {
  const [one, two] = [configIn(a), configIn(b)]
  return one !== undefined && two !== undefined && equalBytes(one, two)
}

function configIn(certificate: Uint8Array): Uint8Array | undefined {
  try {
    return decodeCanonical(SealCertificate, certificate, SEAL_CERTIFICATE_BYTES_MAX).config.b
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

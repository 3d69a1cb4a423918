import { decodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import { unpackCertificate, verifyCertificate } from '../../../protocols/lease/certificate.ts'
import { EquivocationWatch } from '../../../protocols/lease/equivocation.ts'
import {
  PackedCertificate,
  type Certificate,
  type Grant,
  type LeaseRequest,
} from '../../../protocols/lease/messages.ts'
import type { Draft, Signatures, Signed } from '../../../protocols/lease/signing.ts'
import type { Log } from '../../ports/log.ts'
import type { VoterLog } from './voter-change.ts'
import type { VoterSets } from './voter-sets.ts'

/** 63 grants of a lease over 512 resources stay below. */
const CERTIFICATE_BYTES_MAX = 1024 * 1024

export type FaultWatchDeps = {
  readonly signatures: Signatures
  readonly sets: VoterSets
  readonly voterLog: VoterLog
  readonly log: Log
}

export type FaultWatch = {
  /** To be told of grants whose signatures were checked. */
  readonly note: (grant: Signed<Grant>, request: Draft<LeaseRequest>) => void
  readonly verified: (bytes: Uint8Array) => Certificate | undefined
}

/** Looks at every grant that this node verifies, and writes down the proof when a voter contradicts itself. */
export function createFaultWatch({ signatures, sets, voterLog, log }: FaultWatchDeps): FaultWatch {
  const watch = new EquivocationWatch()
  const note = (grant: Signed<Grant>, request: Draft<LeaseRequest>): void => {
    const fault = watch.note({ req: request, grant })
    if (!fault || sets.isConvicted(fault.voter, fault.inc)) return
    log.error({ voter: fault.voter }, 'a voter has signed two grants that contradict each other: it is excluded')
    voterLog
      .publishFault(fault.bytes)
      .catch((error: unknown) => log.error({ err: error }, 'the proof against a voter could not be written down'))
  }
  return {
    note,
    verified(bytes) {
      const certificate = parse(signatures, bytes)
      const epoch = certificate && sets.find(certificate.req.body.cid)
      if (!epoch || !verifyCertificate(signatures, epoch.set, certificate)) return undefined
      for (const grant of certificate.grants) note(grant, certificate.req)
      return certificate
    },
  }
}

function parse(signatures: Signatures, bytes: Uint8Array): Certificate | undefined {
  try {
    const packed = decodeCanonical(PackedCertificate, bytes, CERTIFICATE_BYTES_MAX)
    return unpackCertificate(signatures, packed, CERTIFICATE_BYTES_MAX)
  } catch (error) {
    if (error instanceof MalformedError) return undefined
    throw error
  }
}

import { encodeCanonical, toHex } from '../../../protocols/codec.ts'
import { packCertificate } from '../../../protocols/lease/certificate.ts'
import { tokenNumber } from '../../../protocols/lease/messages.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import type { Certificate, Resource } from '../../../protocols/lease/messages.ts'
import type { LeaseService } from '../leases/lease-service.ts'

/** What somebody says to have been granted. */
export type ClaimedGrant = {
  readonly node: PeerId
  readonly leaseId: string
  readonly token: number
  readonly instanceId: string
  readonly resource: Resource
}

export type CertificateCheck = (claimed: ClaimedGrant, certificate: Uint8Array) => boolean

/** Verified certificates that are remembered: as many leases as two owners can hold. */
const VERIFIED_MAX = 4096
export const certificateBytes = (certificate: Certificate): Uint8Array => encodeCanonical(packCertificate(certificate))

/**
 * Checks that a quorum of voters granted exactly this to this node. Signatures are checked once per certificate. That
 * something was granted does not mean that it still holds.
 */
export function createCertificateCheck(deps: {
  crypto: Pick<Crypto, 'sha256'>
  leases: Pick<LeaseService, 'verified'>
}): CertificateCheck {
  const verified = new Map<string, Certificate>()
  const parse = (bytes: Uint8Array): Certificate | undefined => {
    const hash = toHex(deps.crypto.sha256(bytes))
    const known = verified.get(hash)
    if (known) return known
    const certificate = deps.leases.verified(bytes)
    if (!certificate) return undefined
    if (verified.size >= VERIFIED_MAX) verified.clear()
    verified.set(hash, certificate)
    return certificate
  }
  return (claimed, bytes) => {
    const req = parse(bytes)?.req.body
    return (
      req !== undefined &&
      req.node === claimed.node &&
      req.lid === claimed.leaseId &&
      tokenNumber(req.token) === claimed.token &&
      req.info.instanceId === claimed.instanceId &&
      req.res.some((granted) => sameResource(granted, claimed.resource))
    )
  }
}

const sameResource = (a: Resource, b: Resource): boolean => a.kind === b.kind && a.key === b.key && a.mode === b.mode

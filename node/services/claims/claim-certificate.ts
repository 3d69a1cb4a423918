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

/** Verified certificates of which it is remembered what they grant: as many leases as two owners can hold. */
const VERIFIED_MAX = 4096

/** What a certificate grants; a fiftieth of its size, with all that is parsed of it. */
type Granted = Omit<ClaimedGrant, 'resource'> & { readonly resources: readonly Resource[] }

export const certificateBytes = (certificate: Certificate): Uint8Array => encodeCanonical(packCertificate(certificate))

/**
 * Checks that a quorum of voters granted exactly this to this node. Signatures are checked once per certificate. That
 * something was granted does not mean that it still holds.
 */
export function createCertificateCheck(deps: {
  crypto: Pick<Crypto, 'sha256'>
  leases: Pick<LeaseService, 'verified'>
}): CertificateCheck {
  const verified = new Map<string, Granted>()
  const grantedBy = (bytes: Uint8Array): Granted | undefined => {
    const hash = toHex(deps.crypto.sha256(bytes))
    const known = verified.get(hash)
    if (known) return known
    const req = deps.leases.verified(bytes)?.req.body
    if (!req) return undefined
    const { node, lid: leaseId, info, res: resources } = req
    const granted = { node, leaseId, token: tokenNumber(req.token), instanceId: info.instanceId, resources }
    if (verified.size >= VERIFIED_MAX) verified.clear()
    verified.set(hash, granted)
    return granted
  }
  return (claimed, bytes) => {
    const granted = grantedBy(bytes)
    return (
      granted !== undefined &&
      granted.node === claimed.node &&
      granted.leaseId === claimed.leaseId &&
      granted.token === claimed.token &&
      granted.instanceId === claimed.instanceId &&
      granted.resources.some((resource) => sameResource(resource, claimed.resource))
    )
  }
}

const sameResource = (a: Resource, b: Resource): boolean => a.kind === b.kind && a.key === b.key && a.mode === b.mode

import { equalBytes } from '../codec.ts'
import type { VoterSet } from './config.ts'
import { Grant, LeaseRequest, type Certificate, type PackedCertificate } from './messages.ts'
import { pack, type Draft, type Signatures } from './signing.ts'

export const packCertificate = ({ req, grants }: Certificate): PackedCertificate => ({
  req: pack(req),
  grants: grants.map(pack),
})

/** Its signatures are not checked yet. @throws MalformedError */
export function unpackCertificate(
  signatures: Signatures,
  { req, grants }: PackedCertificate,
  bytesMax: number,
): Certificate {
  return {
    req: signatures.unpack('request', LeaseRequest, req, bytesMax),
    grants: grants.map((grant) => signatures.unpack('grant', Grant, grant, bytesMax)),
  }
}

/**
 * Whether a quorum of distinct voters, in the incarnations of the configuration, granted this exact request. It proves
 * that the lease was granted, never that it is current: only voters and tokens tell that.
 */
export function verifyCertificate(signatures: Signatures, set: VoterSet, { req, grants }: Certificate): boolean {
  const { config, cid, quorum } = set
  const { space, epoch, node, cid: asked } = req.body
  if (space !== config.body.space || epoch !== set.epoch || !equalBytes(asked, cid)) return false
  if (new Set(grants.map(({ body }) => body.voter)).size !== grants.length || grants.length < quorum) return false
  if (!signatures.isSignedBy(node, req)) return false
  return grants.every((grant) => isGrantFor(set, req, grant.body) && signatures.isSignedBy(grant.body.voter, grant))
}

/** Whether an (as yet unverified) grant says yes to this very request in the name of a voter of the set. */
export function isGrantFor(set: VoterSet, { body: req, hash }: Draft<LeaseRequest>, grant: Grant): boolean {
  return (
    grant.space === req.space &&
    grant.epoch === req.epoch &&
    grant.lid === req.lid &&
    grant.seq === req.seq &&
    grant.ttl === req.ttl &&
    grant.token.epoch === req.token.epoch &&
    grant.token.n === req.token.n &&
    equalBytes(grant.reqHash, hash) &&
    set.incarnations.get(grant.voter) === grant.inc
  )
}

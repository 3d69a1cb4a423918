import { equalBytes } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import type { VoterSet } from './config.ts'
import type { Certificate, Grant, LeaseRequest } from './messages.ts'
import { isSignedBy, requestHash } from './signing.ts'

/**
 * Whether a quorum of distinct voters, in the incarnations of the configuration, granted this exact request. It proves
 * that the lease was granted, never that it is current: only voters and tokens tell that.
 */
export function verifyCertificate(crypto: Crypto, set: VoterSet, { req, grants }: Certificate): boolean {
  const { config, cid, quorum } = set
  if (req.space !== config.space || req.epoch !== config.epoch || !equalBytes(req.cid, cid)) return false
  if (new Set(grants.map(({ voter }) => voter)).size !== grants.length || grants.length < quorum) return false
  if (!isSignedBy(crypto, req.node, 'request', req)) return false
  const reqHash = requestHash(crypto, req)
  return grants.every(
    (grant) => isGrantFor(set, { req, reqHash }, grant) && isSignedBy(crypto, grant.voter, 'grant', grant),
  )
}

/** Whether an (as yet unverified) grant says yes to this very request in the name of a voter of the set. */
export function isGrantFor(set: VoterSet, asked: { req: LeaseRequest; reqHash: Uint8Array }, grant: Grant): boolean {
  const { req, reqHash } = asked
  return (
    grant.space === req.space &&
    grant.epoch === req.epoch &&
    grant.lid === req.lid &&
    grant.seq === req.seq &&
    grant.ttl === req.ttl &&
    grant.token.epoch === req.token.epoch &&
    grant.token.n === req.token.n &&
    equalBytes(grant.reqHash, reqHash) &&
    set.incarnations.get(grant.voter) === grant.inc
  )
}

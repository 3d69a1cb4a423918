import type { LeaseService } from '../../../node/services/leases/lease-service.ts'
import { equalBytes } from '../../../protocols/codec.ts'
import type { Certificate, Config } from '../../../protocols/lease/messages.ts'
import type { Violations } from '../violations.ts'

/** I4, by counting here and by asking another node's service. */
export function checkCertificate(
  { req, grants }: Certificate,
  config: Config,
  verifier: LeaseService | undefined,
): string[] {
  const wrong: string[] = []
  const [first] = grants
  const agree = grants.every(
    (grant) =>
      first !== undefined &&
      equalBytes(grant.reqHash, first.reqHash) &&
      grant.lid === req.lid &&
      grant.seq === req.seq &&
      grant.ttl === req.ttl &&
      grant.epoch === req.epoch &&
      grant.token.epoch === req.token.epoch &&
      grant.token.n === req.token.n,
  )
  if (!agree) wrong.push('its grants do not agree')
  const voters = new Set(grants.map(({ voter }) => voter))
  if (voters.size !== grants.length) wrong.push('a voter counts twice')
  if (2 * voters.size <= config.voters.length) wrong.push(`${voters.size} of ${config.voters.length} are no majority`)
  const areNamed = grants.every((grant) =>
    config.voters.some(({ node, inc }) => node === grant.voter && inc === grant.inc),
  )
  if (!areNamed) wrong.push('a grant is not by a voter of the configuration')
  if (verifier && !verifier.verify({ req, grants })) wrong.push('another node does not accept it')
  return wrong
}

export const reportCertificate = (violations: Violations, leaseId: string, wrong: readonly string[]): void =>
  wrong.forEach((what) => violations.add('I4', `certificate of ${leaseId.slice(0, 6)}: ${what}`))

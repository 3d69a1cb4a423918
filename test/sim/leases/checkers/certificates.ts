import { equalBytes } from '../../../../protocols/codec.ts'
import type { Certificate, Config } from '../../../../protocols/lease/messages.ts'

/** I4, by counting. What is wrong with it, in words. */
export function faultsOf({ req: { body: req, hash }, grants: signed }: Certificate, config: Config): string[] {
  const wrong: string[] = []
  const grants = signed.map(({ body }) => body)
  const agree = grants.every(
    (grant) =>
      equalBytes(grant.reqHash, hash) &&
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
  return wrong
}

import type { Metrics } from '../../ports/metrics.ts'
import type { FeedExchange } from './feed-exchange.ts'

/** How reasons begin, and the label they are counted under: a label has few values, a sentence any number. */
const REASONS: readonly (readonly [start: string, label: string])[] = [
  ['malformed envelope', 'malformed'],
  ['an envelope of another mesh', 'other_mesh'],
  ['the signature is not valid', 'bad_signature'],
  ['the author is no member', 'no_member'],
  ['the admission of the author is void', 'no_member'],
  ['not the branch of the removal', 'removed'],
  ['beyond the cut of a removed member', 'removed'],
  ['the author is frozen', 'frozen'],
  ['only its own machine', 'not_the_writer'],
  ['the author lacks the capability', 'not_the_writer'],
  ['only gateways write accounts', 'not_the_writer'],
  ['malformed update', 'bad_update'],
  ['a nonce is used twice', 'bad_update'],
  ['the update cannot be applied', 'bad_update'],
  ['equivocation', 'forked'],
  ['beyond the end of a forked feed', 'forked'],
  ['more than', 'limit'],
  ['a live document larger than', 'limit'],
  ['the document cannot be read here', 'storage'],
  ['could not be written to disk', 'storage'],
]

/** The label of a reason for which an envelope was refused. */
export const refusalLabel = (reason: string): string =>
  REASONS.find(([start]) => reason.startsWith(start))?.[1] ?? 'other'

/** The same feeds; envelopes are counted as they are written and as they come in. */
export function meterFeeds<F extends FeedExchange>(feeds: F, metrics: Metrics): F {
  feeds.onAppend((envelopes) => metrics.count('rookery_envelopes_written_total', {}, envelopes.length))
  return {
    ...feeds,
    async receive(envelopes, from) {
      const outcome = await feeds.receive(envelopes, from)
      const { applied, waiting, refused } = outcome
      metrics.count('rookery_envelopes_received_total', { outcome: 'applied' }, applied)
      metrics.count('rookery_envelopes_received_total', { outcome: 'waiting' }, waiting)
      metrics.count('rookery_envelopes_received_total', { outcome: 'refused' }, refused.length)
      for (const { reason } of refused)
        metrics.count('rookery_envelopes_refused_total', { reason: refusalLabel(reason) })
      return outcome
    },
  }
}

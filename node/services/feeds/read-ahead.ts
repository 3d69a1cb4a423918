import { hasValidSignature, signatureOf, tryParseEnvelope, type Envelope } from '../../../protocols/feed/envelope.ts'
import type { Replica } from './replica.ts'
import { slices } from './slices.ts'

/** A received envelope, or why its bytes are none, and whether it is genuine, asked at most once. */
export type Arrival = { readonly envelope: Envelope | string; isGenuine(): boolean }

/** Handing a signature to another thread costs as much as checking a few. */
const WORTH_HANDING_OVER = 8

/**
 * Received envelopes in slices. While one is worked on, the signatures of the next are checked in other threads, where
 * there are any: they are half the work of a replica that has everything to learn.
 */
export async function* readAhead(
  replica: Replica,
  envelopes: readonly Uint8Array[],
): AsyncGenerator<readonly Arrival[]> {
  let ahead: Promise<Arrival[]> | undefined
  for (const slice of slices(envelopes)) {
    const next = read(replica, slice)
    if (ahead) yield await ahead
    ahead = next
  }
  if (ahead) yield await ahead
}

async function read(replica: Replica, slice: readonly Uint8Array[]): Promise<Arrival[]> {
  const { crypto } = replica
  const parsed = slice.map((bytes) => tryParseEnvelope(bytes, crypto))
  const unknown = parsed.filter((envelope) => typeof envelope !== 'string' && isNews(replica, envelope))
  const verdicts = await verify(replica, unknown as Envelope[])
  return parsed.map((envelope) => ({
    envelope,
    isGenuine: () => typeof envelope !== 'string' && (verdicts.get(envelope) ?? hasValidSignature(envelope, crypto)),
  }))
}

/** Of those that are known already nobody asks. */
const isNews = ({ feeds }: Replica, { doc, author, seq }: Envelope): boolean =>
  seq > (feeds.get(doc)?.heads.get(author)?.seq ?? 0)

async function verify({ crypto }: Replica, envelopes: readonly Envelope[]): Promise<ReadonlyMap<Envelope, boolean>> {
  if (!crypto.verifyAll || envelopes.length < WORTH_HANDING_OVER) return new Map()
  const verdicts = await crypto.verifyAll(envelopes.map((envelope) => signatureOf(envelope, crypto)))
  return new Map(envelopes.map((envelope, i) => [envelope, verdicts[i] === true]))
}

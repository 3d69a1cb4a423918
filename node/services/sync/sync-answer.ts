import type { PeerId } from '../../../crdt/ids.ts'
import { batches, BATCH_BYTES, type SyncMessage, type Vectors } from '../../../protocols/sync.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { FeedExchange } from '../feeds/feed-exchange.ts'
import type { SyncLink } from './sync-link.ts'

/** What one answer to a vector may send before the other side has to say again where it stands. */
const ROUND_BYTES_MAX = 4 * 1024 * 1024

/** Proofs of misbehaviour: envelopes by which everybody who receives them comes to the same conclusion. */
export type Evidence = {
  evidence(author: PeerId): Promise<readonly Uint8Array[]>
  onFrozen(listener: (author: PeerId, reason: string, proof: readonly Uint8Array[]) => void): () => void
}

/** What the other side has applied, and whose envelopes it refuses. */
export type Standing = { readonly theirs: Vectors; readonly frozen: readonly PeerId[] }

type Feeds = Pick<FeedExchange, 'missing' | 'frozen' | 'forks'> & Pick<Evidence, 'evidence'>

type Addressee = {
  readonly link: Pick<SyncLink, 'send'>
  /** Told how many missing envelopes have left. */
  readonly onSent: (count: number) => void
}

/** Sends what the other side lacks: first the proofs against authors and feeds that it still trusts. */
export async function answerStanding(feeds: Feeds, standing: Standing, addressee: Addressee): Promise<void> {
  const { link } = addressee
  const { theirs, frozen } = standing
  for (const author of feeds.frozen().keys())
    if (!frozen.includes(author) && !(await sendProof(await feeds.evidence(author), link))) return
  for (const { doc, author, seq, proof } of feeds.forks())
    if ((theirs.get(doc)?.get(author)?.seq ?? 0) >= seq && !(await sendProof(proof, link))) return
  await sendMissing(feeds, standing, addressee)
}

async function sendProof(proof: readonly Uint8Array[], link: Pick<SyncLink, 'send'>): Promise<boolean> {
  for (const envelopes of batches(proof))
    if (!(await link.send({ t: 'envelopes', envelopes, more: false }))) return false
  return true
}

/**
 * Sends what the other side lacks, oldest first, as fast as it takes it, up to one round. Stops when the link
 * is lost.
 */
async function sendMissing(
  feeds: Pick<FeedExchange, 'missing'>,
  { theirs, frozen }: Standing,
  { link, onSent }: Addressee,
): Promise<void> {
  let batch: Uint8Array[] = []
  let batchBytes = 0
  let roundBytes = 0
  for await (const envelope of feeds.missing(theirs, ROUND_BYTES_MAX, new Set(frozen))) {
    if (batch.length > 0 && batchBytes + envelope.byteLength > BATCH_BYTES) {
      if (!(await link.send({ t: 'envelopes', envelopes: batch, more: false }))) return
      onSent(batch.length)
      batch = []
      batchBytes = 0
    }
    batch.push(envelope)
    batchBytes += envelope.byteLength
    roundBytes += envelope.byteLength
  }
  if (batch.length === 0) return
  // A round may end one envelope short of its limit.
  const more = roundBytes > ROUND_BYTES_MAX - BATCH_BYTES
  if (await link.send({ t: 'envelopes', envelopes: batch, more })) onSent(batch.length)
}

/** Sends the membership records that are not behind these heads, and an end mark even when there are none. */
export async function sendRecords(
  membership: { after(heads: readonly Uint8Array[]): readonly Uint8Array[] },
  heads: readonly Uint8Array[],
  link: Pick<SyncLink, 'send'>,
): Promise<void> {
  for (const records of batches(membership.after(heads)))
    if (!(await link.send({ t: 'records', records, last: false }))) return
  await link.send({ t: 'records', records: [], last: true })
}

/** Whoever asks again from where it stood is sent the same again: … */
const REST_PER_ANSWER = 20
/** … an honest one has lost an answer, or applies it. */
const REST_MS_MAX = 2000

type Answer = (standing: Standing) => Promise<unknown>

/**
 * Answers where the other side stands, one at a time, as `latestOnly` does; before another answer to one that has not moved
 * on since the last, it rests.
 */
export function answerMoved(answer: Answer, clock: Pick<Clock, 'monoMs' | 'after'>, log: Log): (s: Standing) => void {
  let last: Vectors = new Map()
  let restUntilMs = -Infinity
  const rest = ({ theirs }: Standing): Promise<void> | undefined => {
    const ms = hasMoved(last, theirs) ? 0 : restUntilMs - clock.monoMs()
    return ms > 0 ? new Promise((resolve) => void clock.after(ms, resolve)) : undefined
  }
  const timed = async (standing: Standing): Promise<void> => {
    const startMs = clock.monoMs()
    await answer(standing)
    last = standing.theirs
    restUntilMs = clock.monoMs() + Math.min(REST_MS_MAX, (clock.monoMs() - startMs) * REST_PER_ANSWER)
  }
  return latestOnly(timed, log, rest)
}

const hasMoved = (before: Vectors, theirs: Vectors): boolean =>
  [...theirs].some(([doc, heads]) =>
    [...heads].some(([author, { seq }]) => seq > (before.get(doc)?.get(author)?.seq ?? 0)),
  )

/**
 * Runs one answer at a time; of the questions that come in meanwhile, or while it rests, only the latest is answered.
 * Answers must not hold up reading: two nodes that wait for each other to read would wait for ever.
 */
export function latestOnly<T>(
  answer: (question: T) => Promise<unknown>,
  log: Log,
  rest: (question: T) => Promise<void> | undefined = () => undefined,
): (question: T) => void {
  let next: { question: T } | undefined
  let isRunning = false
  const run = async (): Promise<void> => {
    isRunning = true
    try {
      for (let current = next; current !== undefined; current = next) {
        const resting = rest(current.question)
        if (resting) await resting
        if (next !== current) continue
        next = undefined
        await answer(current.question)
      }
    } finally {
      // Together with the last look at `next`: a question that comes a moment later starts anew.
      isRunning = false
    }
  }
  return (question) => {
    next = { question }
    if (isRunning) return
    run().catch((error: unknown) => log.error({ error: String(error) }, 'a peer could not be answered'))
  }
}

/** Addresses of this many members are passed on at a time, … */
const TOLD_PEERS_MAX = 256
/** … and so many of each. */
const TOLD_ADDRESSES_MAX = 16

/** Addresses of everybody but `peer`, to be told to it; undefined when there is nothing to tell. */
export function whereOthersAre(
  known: ReadonlyMap<PeerId, readonly string[]>,
  peer: PeerId,
): Extract<SyncMessage, { t: 'peers' }> | undefined {
  const others = [...known].filter(([id, addresses]) => id !== peer && addresses.length > 0).slice(0, TOLD_PEERS_MAX)
  if (others.length === 0) return undefined
  return { t: 'peers', peers: others.map(([id, addresses]) => [id, addresses.slice(0, TOLD_ADDRESSES_MAX)]) }
}

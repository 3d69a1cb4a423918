import { contentHash, contentHashSteps } from '../../../protocols/feed/content-hash.ts'
import { haveSameHeads } from './followers.ts'
import { StorageError } from './documents.ts'
import type { OwnWrites } from './own-writes.ts'
import type { Visit } from './residence.ts'
import type { Feed, KnownContent, LiveDoc, Replica } from './replica.ts'

/** Of the event loop; others wait no longer for a hash of 100,000 tasks, which takes a second. */
const SLICE_MS = 10

/** A document that changes all the time is hashed at once in the end. */
const TRIES_MAX = 3

type ContentDeps = {
  readonly replica: Replica
  readonly ownWrites: Pick<OwnWrites, 'flush'>
  readonly visit: Visit
}

/**
 * The hash of what is accepted. What has not changed since it was asked for is not hashed again, and not brought into
 * memory for it. @throws StorageError when it cannot be loaded
 */
export async function hashContent(deps: ContentDeps, feed: Feed): Promise<Uint8Array> {
  return knownOf(feed)?.hash ?? (await deps.visit(feed, () => hashHeld(deps, feed)))
}

export const hasContent = (feed: Feed): boolean => feed.live !== undefined || knownOf(feed) !== undefined

/** Of one that is not in memory. */
const knownOf = (feed: Feed): KnownContent | undefined =>
  !feed.live && feed.content && haveSameHeads(feed.content, feed) ? feed.content : undefined

async function hashHeld(deps: ContentDeps, feed: Feed): Promise<Uint8Array> {
  const { replica } = deps
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const live = await replica.exclusive(() => settled(deps, feed))
    const { version } = live
    if (feed.content?.version === version) return feed.content.hash
    const heads = new Map(feed.heads)
    const hash = await hashInSlices(replica, feed, live)
    if (!hash) continue
    feed.content = { hash, heads, version }
    return hash
  }
  return await replica.exclusive(async () => contentHash((await settled(deps, feed)).state, replica.crypto))
}

/** Inside `exclusive`. */
async function settled({ ownWrites }: ContentDeps, feed: Feed): Promise<LiveDoc> {
  while (feed.dirty || feed.pending.length > 0) await ownWrites.flush(feed)
  if (!feed.live) throw new StorageError(`The document ${feed.doc} could not be rebuilt.`)
  return feed.live
}

/** Undefined when the document has changed meanwhile. */
async function hashInSlices({ crypto, clock }: Replica, feed: Feed, live: LiveDoc): Promise<Uint8Array | undefined> {
  const { version } = live
  const steps = contentHashSteps(live.state, crypto)
  let since = clock.monoMs()
  while (feed.live === live && live.version === version && !feed.dirty) {
    const step = steps.next()
    if (step.done === true) return step.value
    if (clock.monoMs() - since < SLICE_MS) continue
    await new Promise<void>((resolve) => clock.after(0, resolve))
    since = clock.monoMs()
  }
  return undefined
}

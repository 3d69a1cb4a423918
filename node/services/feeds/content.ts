import { contentHash, contentHashSteps } from '../../../protocols/feed/content-hash.ts'
import { haveSameHeads } from './followers.ts'
import type { OwnWrites } from './own-writes.ts'
import type { Visit } from './residence.ts'
import type { Feed, KnownContent, LiveDoc, Replica } from './replica.ts'

/** Of the event loop; others wait no longer for a hash of 100,000 tasks, which takes a second. */
const SLICE_MS = 10

/** A document that changes all the time is hashed at once in the end. */
const TRIES_MAX = 3

type ContentDeps = {
  readonly replica: Replica
  readonly ownWrites: Pick<OwnWrites, 'settled'>
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
  const { replica, ownWrites } = deps
  const settled = <T>(task: (live: LiveDoc) => T): Promise<T> => replica.exclusive(() => ownWrites.settled(feed, task))
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const moment = await settled((live) => ({ live, version: live.version, heads: new Map(feed.heads) }))
    const { version, heads } = moment
    if (feed.content?.version === version) return feed.content.hash
    const hash = await hashInSlices(replica, feed, moment)
    if (!hash) continue
    feed.content = { hash, heads, version }
    return hash
  }
  return await settled(({ state }) => contentHash(state, replica.crypto))
}

type Moment = { readonly live: LiveDoc; readonly version: number }

/** Undefined when the document has changed since. */
async function hashInSlices(
  { crypto, clock }: Replica,
  feed: Feed,
  { live, version }: Moment,
): Promise<Uint8Array | undefined> {
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

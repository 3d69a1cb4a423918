import type { Clock } from '../../ports/clock.ts'
import type { Documents, FeedPosition } from '../feeds/documents.ts'

/** So that a caller reads at this node what another node has just written for it; longer is not worth the wait. */
const READ_BACK_MS = 2000

/** Waits, for a while, until a write made elsewhere has arrived here. */
export async function reachedWithin(
  deps: { documents: Pick<Documents, 'reached'>; clock: Clock },
  position: FeedPosition,
): Promise<boolean> {
  const stop = new AbortController()
  const cancel = deps.clock.after(READ_BACK_MS, () => stop.abort())
  try {
    return await deps.documents.reached(position, stop.signal)
  } finally {
    cancel()
  }
}

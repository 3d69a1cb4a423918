import type { PeerId } from '../../../crdt/ids.ts'
import type { Clock } from '../../ports/clock.ts'

/** Ends of one author's feeds that are carried out at once: what two honest histories of a lost disk need. */
const AT_ONCE = 8
/** Then the next one waits 1 s, 2 s, … after the one before: whoever has the other branch sends it again. */
const WAIT_FIRST_MS = 1000
/** The same as between two replays that somebody asks for: a rebuild may take seconds. */
const WAIT_MAX_MS = 60_000

/** An author can prove ever lower ends of its feeds, and each costs a rebuild of the document. */
export type ForkPace = {
  /** Whether one more may be carried out now; then it counts. */
  mayRebuild(author: PeerId): boolean
}

/** One entry per author that has forked a feed: a member, frozen by then. */
export function createForkPace(clock: Pick<Clock, 'monoMs'>): ForkPace {
  const authors = new Map<PeerId, { count: number; lastMs: number }>()
  return {
    mayRebuild(author) {
      const nowMs = clock.monoMs()
      const { count, lastMs } = authors.get(author) ?? { count: 0, lastMs: nowMs }
      const waitMs = count < AT_ONCE ? 0 : Math.min(WAIT_MAX_MS, WAIT_FIRST_MS * 2 ** (count - AT_ONCE))
      if (nowMs - lastMs < waitMs) return false
      authors.set(author, { count: count + 1, lastMs: nowMs })
      return true
    },
  }
}

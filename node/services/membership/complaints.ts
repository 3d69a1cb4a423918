import type { PeerId } from '../../../crdt/ids.ts'
import type { Clock } from '../../ports/clock.ts'

/** What is shown of a member that behaves again. */
const REMEMBERED_MS = 10 * 60_000
/** Once or twice is a broken connection or a race with a change of membership. */
const SHOWN_FROM = 3
/** Members that misbehave, of the largest meshes; the one that was complained of longest ago makes room. */
const PEERS_MAX = 1024

/** What members do to this node that is no proof against them (that freezes them) and yet for people to know. */
export type Complaints = {
  /** The same words for the same kind of thing: they are counted. */
  readonly complain: (peer: PeerId, what: string) => void
  /** In the words of the latest, with how often lately; undefined when there is nothing to speak of. */
  of(peer: PeerId): string | undefined
}

export function createComplaints(clock: Pick<Clock, 'monoMs'>): Complaints {
  const known = new Map<PeerId, { what: string; count: number; firstMs: number; lastMs: number }>()
  return {
    complain(peer, what) {
      const nowMs = clock.monoMs()
      const before = known.get(peer)
      const isOld = before === undefined || nowMs - before.lastMs > REMEMBERED_MS
      known.delete(peer)
      const { firstMs, count } = isOld ? { firstMs: nowMs, count: 0 } : before
      known.set(peer, { what, count: count + 1, firstMs, lastMs: nowMs })
      for (const oldest of known.keys()) {
        if (known.size <= PEERS_MAX) break
        known.delete(oldest)
      }
    },
    of(peer) {
      const complaint = known.get(peer)
      if (!complaint || complaint.count < SHOWN_FROM) return undefined
      const nowMs = clock.monoMs()
      if (nowMs - complaint.lastMs > REMEMBERED_MS) return undefined
      const minutes = Math.max(1, Math.ceil((nowMs - complaint.firstMs) / 60_000))
      return `${complaint.what} (${complaint.count} complaints in ${minutes} min)`
    },
  }
}

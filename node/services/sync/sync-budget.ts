import type { PeerId } from '../../../crdt/ids.ts'
import type { Clock } from '../../ports/clock.ts'
import { NOT_READABLE, NOT_WRITTEN, type RefusedEnvelope } from '../feeds/feed-exchange.ts'

/** What a member may have us do in vain, in processing time: more than any honest burst takes. */
const BURST_MS = 2000
/** … and how fast that comes back: what one percent of all calls would notice, whatever it sends. */
const SHARE = 0.02
/** Longer than this nobody waits: the heartbeats behind it would be lost. */
const PAUSE_MS_MAX = 5000

/** How much of this node's time each connected member takes up. */
export type SyncBudget = {
  /** Runs `work` on behalf of the member; resolves with what it says it was: `in vain` is charged. */
  spend(peer: PeerId, work: () => Promise<'useful' | 'in vain'>): Promise<void>
  /** Waits until the member may have us work again. Not reading on is what slows it down. */
  ready(peer: PeerId): Promise<void>
  forget(peer: PeerId): void
}

export type SyncBudgetDeps = {
  readonly clock: Pick<Clock, 'monoMs' | 'after'>
  /**
   * How long this thread has worked so far. By the clock, on a host that is busy with other things members would be
   * charged for its being busy; slowed down for it, they send more and more that has become old meanwhile.
   */
  readonly busyMs: () => number
  /** A member has used up what it may. */
  readonly onExceeded: (peer: PeerId) => void
}

/** A token bucket of processing time per member: what costs us little may come often, what costs much may not. */
export function createSyncBudget({ clock, busyMs, onExceeded }: SyncBudgetDeps): SyncBudget {
  const accounts = new Map<PeerId, { leftMs: number; atMs: number }>()
  const accountOf = (peer: PeerId): { leftMs: number; atMs: number } => {
    const nowMs = clock.monoMs()
    const { leftMs, atMs } = accounts.get(peer) ?? { leftMs: BURST_MS, atMs: nowMs }
    const account = { leftMs: Math.min(BURST_MS, leftMs + (nowMs - atMs) * SHARE), atMs: nowMs }
    accounts.set(peer, account)
    return account
  }
  /** Works that are under way; all but one of them wait. */
  const running = new Set<{ ms: number }>()
  let sharedMs = busyMs()
  /** Of what was worked since the last time each gets a like part: whose it was is not known. */
  const share = (): void => {
    const nowMs = busyMs()
    for (const work of running) work.ms += (nowMs - sharedMs) / running.size
    sharedMs = nowMs
  }
  return {
    async spend(peer, work) {
      const spent = { ms: 0 }
      share()
      running.add(spent)
      let was: 'useful' | 'in vain' = 'useful'
      try {
        was = await work()
      } finally {
        share()
        running.delete(spent)
      }
      if (was === 'in vain') accountOf(peer).leftMs -= spent.ms
    },
    async ready(peer) {
      const { leftMs } = accountOf(peer)
      if (leftMs >= 0) return
      onExceeded(peer)
      const { promise, resolve } = Promise.withResolvers<void>()
      clock.after(Math.min(PAUSE_MS_MAX, -leftMs / SHARE), resolve)
      await promise
    },
    forget: (peer) => accounts.delete(peer),
  }
}

/** Refusals that say nothing about who sent the envelope. */
const OUR_TROUBLE: ReadonlySet<string> = new Set([NOT_WRITTEN, NOT_READABLE])

/** What refused envelopes say about the member that sent them, and wrote them; undefined when nothing. */
export function misconductIn(refused: readonly RefusedEnvelope[], from: PeerId): string | undefined {
  const own = refused.find(({ author, reason }) => (author ?? from) === from && !OUR_TROUBLE.has(reason))
  return own && `sends envelopes that are refused (${own.reason})`
}

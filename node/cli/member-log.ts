import type { PeerId } from '../../crdt/ids.ts'
import type { Cancel } from '../ports/clock.ts'
import { durationWords } from './ago.ts'
import type { MeshCore } from './mesh-core.ts'

/** Logs once when a member is not heard any more, and once when it is back: however often it is dialled meanwhile. */
export function logMembers({ self, presence, nameOf, means: { log, clock } }: MeshCore): Cancel {
  /** Members that were heard, and since when one of them is not. */
  const awaySinceMs = new Map<PeerId, number | undefined>()
  return presence.onChange((peer) => {
    if (peer === self) return
    const state = presence.state(peer)
    const isKnown = awaySinceMs.has(peer)
    const sinceMs = awaySinceMs.get(peer)
    if (state === 'gone') awaySinceMs.delete(peer)
    if (state === 'away' && isKnown && sinceMs === undefined) {
      awaySinceMs.set(peer, clock.bootMs())
      log.info({ member: nameOf(peer) }, 'a member is not heard any more')
    }
    if (state !== 'online') return
    awaySinceMs.set(peer, undefined)
    if (sinceMs !== undefined)
      log.info({ member: nameOf(peer), away: durationWords(clock.bootMs() - sinceMs) }, 'a member is back')
  })
}

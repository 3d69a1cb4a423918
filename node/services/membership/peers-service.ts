import type { PeerId } from '../../../crdt/ids.ts'
import type { Membership } from '../../../protocols/membership/membership.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PeerWays, Way } from '../../ports/peer-ways.ts'
import type { Presence } from '../sync/presence.ts'

/** A member other than this node, and how it is reached. */
export type PeerView = Omit<Way, 'via' | 'sinceWallMs' | 'failed' | 'nextTryInMs'> & {
  readonly peerId: PeerId
  readonly name: string
  /** Of the last heartbeat it has answered. */
  readonly rttMs: number | null
  readonly via: { readonly peerId: PeerId; readonly name: string } | null
  readonly since: string | null
  readonly lastSeenAt: string | null
  readonly failed: readonly { readonly address: string; readonly error: string; readonly at: string }[]
  readonly nextTryInSeconds: number | null
}

export type PeersService = {
  /** Oldest members first. */
  list(): readonly PeerView[]
}

export type PeersServiceDeps = {
  readonly self: PeerId
  readonly membership: () => Membership
  readonly presence: Pick<Presence, 'lastSeenWallMs' | 'rttMs'>
  readonly ways: PeerWays
  readonly nameOf: (peer: PeerId) => string
  readonly clock: Pick<Clock, 'wallMs'>
}

/** How this node reaches the others, and why not where it does not. */
export function createPeersService(deps: PeersServiceDeps): PeersService {
  return {
    list: () =>
      [...deps.membership().members.values()]
        .filter(({ peer }) => peer !== deps.self)
        .toSorted((a, b) => a.seniority - b.seniority)
        .map(({ peer }) => viewOf(deps, peer)),
  }
}

function viewOf({ presence, ways, nameOf, clock }: PeersServiceDeps, peer: PeerId): PeerView {
  const { via, sinceWallMs, failed, nextTryInMs, ...way } = ways.wayTo(peer)
  const seenMs = sinceWallMs === null ? presence.lastSeenWallMs(peer) : clock.wallMs()
  return {
    peerId: peer,
    name: nameOf(peer),
    ...way,
    via: via === null ? null : { peerId: via, name: nameOf(via) },
    since: iso(sinceWallMs ?? undefined),
    rttMs: sinceWallMs === null ? null : (presence.rttMs(peer) ?? null),
    lastSeenAt: iso(seenMs),
    failed: failed.map(({ address, error, wallMs }) => ({ address, error, at: new Date(wallMs).toISOString() })),
    nextTryInSeconds: nextTryInMs === null ? null : Math.ceil(nextTryInMs / 1000),
  }
}

const iso = (wallMs: number | undefined): string | null =>
  wallMs === undefined ? null : new Date(wallMs).toISOString()

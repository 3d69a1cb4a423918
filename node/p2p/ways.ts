import type { Connection } from '@libp2p/interface'
import type { PeerId } from '../../crdt/ids.ts'
import type { FailedTry, Way } from '../ports/peer-ways.ts'
import { hostOf, isPublic, isRelayed, isThisHost, normaliseAddress, relayOf } from './addresses.ts'

export type WayFacts = {
  readonly connection: Connection | undefined
  readonly agent: string | undefined
  readonly failed: readonly FailedTry[]
  readonly nextTryInMs: number | null
}

/** What there is to say about how a member is reached. */
export function wayOf({ connection, agent, failed, nextTryInMs }: WayFacts): Way {
  if (connection === undefined)
    return {
      how: 'not connected',
      via: null,
      address: null,
      sinceWallMs: null,
      rttMs: null,
      agent: null,
      failed,
      nextTryInMs,
    }
  const { remoteAddr, timeline, rtt } = connection
  const via = relayUsed(connection)
  return {
    how: howOf(connection),
    via,
    address: remoteAddr.toString(),
    sinceWallMs: timeline.open,
    rttMs: rtt ?? null,
    agent: agent ?? null,
    failed: via === null ? [] : failed,
    nextTryInMs: null,
  }
}

function howOf({ remoteAddr }: Connection): Way['how'] {
  if (isRelayed(remoteAddr)) return 'relay'
  const host = hostOf(remoteAddr) ?? ''
  if (isThisHost(host)) return 'this machine'
  return isPublic(host) ? 'internet' : 'local network'
}

function relayUsed({ remoteAddr }: Connection): PeerId | null {
  const through = isRelayed(remoteAddr) ? normaliseAddress(remoteAddr.toString()) : undefined
  return (through === undefined ? undefined : relayOf(through)) ?? null
}

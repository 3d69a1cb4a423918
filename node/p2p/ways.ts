import type { Connection } from '@libp2p/interface'
import type { PeerId } from '../../crdt/ids.ts'
import type { FailedTry, Plan, Way } from '../ports/peer-ways.ts'
import { hostOf, isPublic, isRelayed, isThisHost, normaliseAddress, relayOf } from './addresses.ts'

export type WayFacts = {
  readonly connection: Connection | undefined
  readonly agent: string | undefined
  readonly failed: readonly FailedTry[]
  readonly isAnyAddressKnown: boolean
  /** Whether a connection with it is kept. */
  readonly isNeighbour: boolean
  readonly nextTryInMs: number | null
}

/** What there is to say about how a member is reached. */
export function wayOf(facts: WayFacts): Way {
  const { connection, agent, failed } = facts
  if (connection === undefined) {
    const plan = planOf(facts)
    const nextTryInMs = plan === 'tried later' ? facts.nextTryInMs : null
    return { how: 'not connected', via: null, address: null, sinceWallMs: null, agent: null, failed, plan, nextTryInMs }
  }
  const { remoteAddr, timeline } = connection
  const via = relayUsed(connection)
  return {
    how: howOf(connection),
    via,
    address: remoteAddr.toString(),
    sinceWallMs: timeline.open,
    agent: agent ?? null,
    failed: via === null ? [] : failed,
    plan: null,
    nextTryInMs: null,
  }
}

function planOf({ isAnyAddressKnown, isNeighbour, nextTryInMs }: WayFacts): Plan {
  if (!isAnyAddressKnown) return 'no address'
  if (!isNeighbour) return 'when needed'
  return nextTryInMs === null ? 'being tried' : 'tried later'
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

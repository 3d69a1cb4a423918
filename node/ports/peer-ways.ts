import type { PeerId } from '../../crdt/ids.ts'

/** An address that did not lead to the member when it was tried last, and why, in plain words. */
export type FailedTry = { readonly address: string; readonly error: string; readonly wallMs: number }

/** What is done about a member that is not connected; `when needed`: in a large mesh most members are connected only then. */
export type Plan = 'no address' | 'being tried' | 'tried later' | 'when needed'

/** How a member is reached right now, or what is being done about it. */
export type Way = {
  /** By the address in use: another process here, a private network, a public address, through another member. */
  readonly how: 'this machine' | 'local network' | 'internet' | 'relay' | 'not connected'
  /** The member that relays. */
  readonly via: PeerId | null
  readonly address: string | null
  readonly sinceWallMs: number | null
  /** Program and version, as the member says. */
  readonly agent: string | null
  /** Also of a member that is reached through a relay: why not directly. */
  readonly failed: readonly FailedTry[]
  /** Null while it is connected. */
  readonly plan: Plan | null
  /** When it is tried later. */
  readonly nextTryInMs: number | null
}

export interface PeerWays {
  wayTo(peer: PeerId): Way
}

import type { PeerId } from '../../crdt/ids.ts'
import type { Ballot } from './ballot.ts'
import type { Deny, Grant } from './messages.ts'
import type { Draft, Signatures } from './signing.ts'
import type { LeaseName } from './voter-state.ts'

export type VoterDeps = {
  readonly signatures: Signatures
  readonly sha256: (data: Uint8Array) => Uint8Array
  readonly isMember: (peer: PeerId) => boolean
  /** May say who votes. */
  readonly isAdmin: (peer: PeerId) => boolean
  /** A fresh random incarnation, for the case that this disk turns out to have been rolled back. */
  readonly newIncarnation: () => string
}

/** A statement to be signed with those of the same batch, or a word that needs no signature. */
export type Reply =
  | { readonly is: 'grant'; readonly node: PeerId; readonly inc: string; readonly draft: Draft<Grant> }
  | { readonly is: 'promise' | 'seal'; readonly inc: string; readonly draft: Draft<object> }
  | { readonly is: 'deny'; readonly body: Deny }
  /** The requester has seen more of this voter than the voter remembers and is asked for the evidence. */
  | { readonly is: 'prove'; readonly body: { readonly inc: string; readonly above: number } }
  | { readonly is: 'outbid'; readonly body: { readonly epoch: number; readonly ballot: Ballot } }

/**
 * What follows from one message. `records` belong at the end of the journal in this order. A reply may be signed and
 * sent only after they are durable, and after `settle` has been told so.
 */
export type Decision = {
  readonly records: readonly Uint8Array[]
  /** False for releases and expiries: losing them only revives a promise that ends by itself. */
  readonly mustSync: boolean
  readonly reply?: Reply
  /** Refused leases whose way is free now. */
  readonly free: readonly LeaseName[]
}

export const NOTHING: Decision = { records: [], mustSync: false, free: [] }

import { accountsDoc, soleAuthor, type PeerId } from '../../crdt/ids.ts'
import { equalBytes } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import { hasCapability, type FeedCut, type Membership } from '../membership/membership.ts'
import { clientIdOf, hasValidSignature, type Envelope } from './envelope.ts'
import { inspectUpdate } from './inspect.ts'

/** What this replica has accepted of one document. */
export type FeedView = {
  readonly head: (author: PeerId) => FeedCut | undefined
  /** The clientID the author's feed declared last. */
  readonly clientOf: (author: PeerId) => number | undefined
  /** First clock of a client that is not known yet. */
  readonly clockOf: (client: number) => number
}

export type CheckContext = {
  readonly crypto: Crypto
  readonly membership: Membership
  readonly view: FeedView
  readonly isFrozen: (author: PeerId) => boolean
  /** Highest sequence number of the author's on which an envelope of somebody in good standing waits. */
  readonly neededOf: (author: PeerId) => number
}

export type Decision =
  /** `client` is the author's clientID from here on, `clock` its first unused clock. */
  | { readonly kind: 'accept'; readonly client: number | undefined; readonly clock: number }
  /** At or behind the head: a repetition, or, if its bytes differ from those held there, equivocation. */
  | { readonly kind: 'known' }
  /** Genuine, but not applicable now; `need` ones only ever are when an envelope in good standing needs them. */
  | { readonly kind: 'wait'; readonly for: 'predecessor' | 'dependency' | 'reference' }
  | { readonly kind: 'wait'; readonly for: 'need'; readonly reason: string }
  /** `proof`: the bytes, signed by their author, prove by themselves that the author does not follow the rules. */
  | { readonly kind: 'refuse'; readonly reason: string; readonly proof: boolean }
  /** Signed, and chained to another predecessor than the one held: with the head, proof of equivocation. */
  | { readonly kind: 'fork' }

/**
 * Decides about an envelope whose form has been checked, cheapest check first. Pure, and the same on every replica that
 * has accepted the same envelopes; on one that has accepted fewer it says `wait`, never `refuse`. Nothing of an envelope
 * without a valid signature is ever buffered, applied or held against its author.
 */
export const checkEnvelope = (envelope: Envelope, context: CheckContext): Decision =>
  checkOrigin(envelope, context) ?? checkTurn(envelope, context)

/** The part that needs no document: whether it is genuine, and new. Undefined when it is both. */
export function checkOrigin(
  envelope: Envelope,
  context: CheckContext,
): Extract<Decision, { kind: 'known' | 'refuse' }> | undefined {
  if (envelope.mesh !== context.membership.mesh) return refuse('an envelope of another mesh')
  const standing = standingOf(envelope, context.membership, context.isFrozen(envelope.author))
  if (standing.kind === 'never') return refuse(standing.reason)
  if (envelope.seq <= (context.view.head(envelope.author)?.seq ?? 0)) return { kind: 'known' }
  return hasValidSignature(envelope, context.crypto) ? undefined : refuse('the signature is not valid')
}

/** The rest, for an envelope that has passed `checkOrigin`; it can be asked again whenever the document has moved on. */
export function checkTurn(envelope: Envelope, context: CheckContext): Decision {
  const { membership, view, crypto } = context
  const { author, seq, prev } = envelope
  const standing = standingOf(envelope, membership, context.isFrozen(author))
  if (standing.kind === 'never') return refuse(standing.reason)
  if (standing.kind === 'if needed' && seq > context.neededOf(author))
    return { kind: 'wait', for: 'need', reason: standing.reason }
  const head = view.head(author)
  if (seq > (head?.seq ?? 0) + 1) return { kind: 'wait', for: 'predecessor' }
  if (head && !(prev && equalBytes(head.hash, prev))) return { kind: 'fork' }
  if (!dependenciesMet(envelope, view)) return { kind: 'wait', for: 'dependency' }
  return checkUpdate(envelope, view, crypto)
}

/** Two different signed envelopes for one place of one feed prove misbehaviour of their author. */
export const provesEquivocation = (a: Envelope, b: Envelope, crypto: Crypto): boolean =>
  a.mesh === b.mesh &&
  a.doc === b.doc &&
  a.author === b.author &&
  a.seq === b.seq &&
  !equalBytes(a.bytes, b.bytes) &&
  hasValidSignature(a, crypto) &&
  hasValidSignature(b, crypto)

const refuse = (reason: string, proof = false): Extract<Decision, { kind: 'refuse' }> => ({
  kind: 'refuse',
  reason,
  proof,
})

export type Standing =
  | { readonly kind: 'good' }
  /** Void by itself, but part of the history if somebody in good standing built on it before knowing. */
  | { readonly kind: 'if needed'; readonly reason: string }
  | { readonly kind: 'never'; readonly reason: string }

const GOOD: Standing = { kind: 'good' }

/** Whether the author may write this envelope of this document. */
export function standingOf(
  { doc, author, seq, hash }: Pick<Envelope, 'doc' | 'author' | 'seq' | 'hash'>,
  membership: Membership,
  isFrozen: boolean,
): Standing {
  const sole = soleAuthor(doc)
  if (sole !== undefined && sole !== author)
    return { kind: 'never', reason: 'only its own machine writes this document' }
  if (!membership.members.has(author)) {
    const cuts = membership.removed.get(author)
    if (!cuts && membership.voided.has(author))
      return { kind: 'if needed', reason: 'the admission of the author is void' }
    if (!cuts) return { kind: 'never', reason: 'the author is no member' }
    const cut = cuts.get(doc)
    if (cut?.seq === seq && !equalBytes(cut.hash, hash))
      return { kind: 'never', reason: 'not the branch of the removal' }
    return seq <= (cut?.seq ?? 0) ? GOOD : { kind: 'if needed', reason: 'beyond the cut of a removed member' }
  }
  if (isFrozen) return { kind: 'if needed', reason: 'the author is frozen' }
  if (sole === undefined && !hasCapability(membership, author, 'store'))
    return { kind: 'if needed', reason: 'the author lacks the capability `store`' }
  if (doc === accountsDoc && !hasCapability(membership, author, 'gateway'))
    return { kind: 'if needed', reason: 'only gateways write accounts: others could bring revoked tokens back to life' }
  return GOOD
}

function dependenciesMet(envelope: Envelope, view: FeedView): boolean {
  for (const author in envelope.deps) {
    // `in` gives plain strings; the schema has checked that each is a peer id.
    const peer = author as PeerId
    if ((view.head(peer)?.seq ?? 0) < (envelope.deps[peer] ?? 0)) return false
  }
  return true
}

function checkUpdate(envelope: Envelope, view: FeedView, crypto: Crypto): Decision {
  const { author, doc, nonce, update } = envelope
  const client = nonce ? clientIdOf(crypto, author, doc, nonce) : view.clientOf(author)
  if (nonce && client !== undefined && view.clockOf(client) > 0) return refuse('a nonce is used twice', true)
  const inspection = inspectUpdate(update, { client, clockOf: view.clockOf })
  if (inspection.kind === 'malformed') return refuse(`malformed update: ${inspection.reason}`, true)
  if (inspection.kind === 'missing') return { kind: 'wait', for: 'reference' }
  return { kind: 'accept', client, clock: inspection.clock }
}

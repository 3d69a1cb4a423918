import { accountsDoc, soleAuthor, type PeerId } from '../../crdt/ids.ts'
import { equalBytes } from '../codec.ts'
import type { Crypto } from '../crypto.ts'
import { hasCapability, type FeedCut, type Membership } from '../membership/membership.ts'
import type { Branches, Reading } from './branches.ts'
import { clientIdOf, hasValidSignature, type Envelope } from './envelope.ts'
import { inspectUpdate } from './inspect.ts'

/** What this replica has accepted of one document. */
export type FeedView = {
  readonly head: (author: PeerId) => FeedCut | undefined
  /** Whether exactly this envelope is part of what is held, in its author's feed or in a branch of it. */
  readonly holds: (author: PeerId, place: FeedCut) => boolean
  /** The clientID the author's feed declared last. */
  readonly clientOf: (author: PeerId) => number | undefined
  /** First clock of a client that is not known yet. */
  readonly clockOf: (client: number) => number
}

export type CheckContext = {
  readonly crypto: Crypto
  readonly membership: Membership
  readonly view: FeedView
  /** Branches of forked feeds, as far as they are part of the document. */
  readonly branches: Branches
  /** What a frozen author wrote before the first place where its feed is known to be forked is not in question. */
  readonly isFrozen: (author: PeerId, seq: number) => boolean
  /** Highest sequence number of the author's on which an envelope of somebody in good standing waits. */
  readonly neededOf: (author: PeerId) => number
}

/** What the part that needs no document asks for. */
export type OriginContext = Pick<CheckContext, 'crypto' | 'membership' | 'isFrozen'> & {
  readonly view: Pick<FeedView, 'head'>
  /** For who has had the signature verified already. */
  readonly isGenuine?: () => boolean
}

export type Decision =
  /** `client` is the author's clientID from here on, `clock` its first unused clock. */
  | {
      readonly kind: 'accept'
      readonly client: number | undefined
      readonly clock: number
      readonly reading: Reading
    }
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
  context: OriginContext,
): Extract<Decision, { kind: 'known' | 'refuse' }> | undefined {
  if (envelope.mesh !== context.membership.mesh) return refuse('an envelope of another mesh')
  const standing = standingOf(envelope, context.membership, context.isFrozen(envelope.author, envelope.seq))
  if (standing.kind === 'never') return refuse(standing.reason)
  if (envelope.seq <= (context.view.head(envelope.author)?.seq ?? 0)) return { kind: 'known' }
  const isGenuine = context.isGenuine?.() ?? hasValidSignature(envelope, context.crypto)
  return isGenuine ? undefined : refuse('the signature is not valid')
}

/** The rest, for an envelope that has passed `checkOrigin`; it can be asked again whenever the document has moved on. */
export function checkTurn(envelope: Envelope, context: CheckContext): Decision {
  const { membership, view } = context
  const { author, seq, prev } = envelope
  const standing = standingOf(envelope, membership, context.isFrozen(author, seq))
  if (standing.kind === 'never') return refuse(standing.reason)
  const head = view.head(author)
  if (seq > (head?.seq ?? 0) + 1) return { kind: 'wait', for: 'predecessor' }
  // Whether it counts or not: where the feed ends for everybody depends on it.
  if (head && !(prev && equalBytes(head.hash, prev))) return { kind: 'fork' }
  if (standing.kind === 'if needed' && seq > context.neededOf(author))
    return { kind: 'wait', for: 'need', reason: standing.reason }
  if (!dependenciesMet(envelope, view)) return { kind: 'wait', for: 'dependency' }
  return checkUpdate(envelope, context)
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
      return { kind: 'if needed', reason: 'not the branch of the removal' }
    return seq <= (cut?.seq ?? 0) ? GOOD : { kind: 'if needed', reason: 'beyond the cut of a removed member' }
  }
  if (isFrozen) return { kind: 'if needed', reason: 'the author is frozen' }
  if (sole === undefined && !hasCapability(membership, author, 'store'))
    return { kind: 'if needed', reason: 'the author lacks the capability `store`' }
  if (doc === accountsDoc && !hasCapability(membership, author, 'gateway'))
    return { kind: 'if needed', reason: 'only gateways write accounts: others could bring revoked tokens back to life' }
  return GOOD
}

function dependenciesMet({ deps }: Envelope, view: FeedView): boolean {
  for (const author in deps) {
    // `in` gives plain strings; the schema has checked that each is a peer id.
    const peer = author as PeerId
    const place = deps[peer]
    if (place && !view.holds(peer, place)) return false
  }
  return true
}

function checkUpdate(envelope: Envelope, { view, crypto, branches }: CheckContext): Decision {
  const { author, doc, nonce, update } = envelope
  const client = nonce ? clientIdOf(crypto, author, doc, nonce) : view.clientOf(author)
  if (nonce && client !== undefined && view.clockOf(client) > 0) return refuse('a nonce is used twice', true)
  // What it refers to may have another name here: whether that is there is looked at in the names that count.
  const clockOf = (id: number): number => (id === client || branches.isEmpty ? view.clockOf(id) : Infinity)
  const form = inspectUpdate(update, { client, clockOf })
  if (form.kind === 'malformed') return refuse(`malformed update: ${form.reason}`, true)
  if (form.kind === 'missing') return { kind: 'wait', for: 'reference' }
  const reading = branches.read(envelope, view)
  const isThere =
    branches.isEmpty ||
    inspectUpdate(reading.update, { client, clockOf: view.clockOf, isRenamed: true }).kind === 'sound'
  return isThere ? { kind: 'accept', client, clock: form.clock, reading } : { kind: 'wait', for: 'reference' }
}

/**
 * An envelope of a branch on which others have built, whose predecessor is part of the document: what it says, if it may
 * be part of it too. Its author is known to break rules, so nothing else follows from what is wrong with it.
 */
export function checkBranch(envelope: Envelope, { view, branches }: CheckContext): Reading | undefined {
  if (!dependenciesMet(envelope, view)) return undefined
  const { client, from, renamed, isReused } = branches.placeOf(envelope, view)
  const form = inspectUpdate(envelope.update, { client, clockOf: (id) => (id === client ? from : Infinity) })
  if (isReused || form.kind !== 'sound') return undefined
  const reading = branches.read(envelope, view)
  const clockOf = (id: number): number => (id === renamed ? 0 : view.clockOf(id))
  const inspection = inspectUpdate(reading.update, { client: renamed, clockOf, isRenamed: true })
  return inspection.kind === 'sound' ? reading : undefined
}

import * as Y from 'yjs'
import type { Actor } from '../../../crdt/actor.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { sealEnvelope, UPDATE_BYTES_MAX, type Envelope } from '../../../protocols/feed/envelope.ts'
import { joinOwnChanges } from '../../../protocols/feed/own-update.ts'
import type { FeedHead, Snapshot } from '../../ports/feed-store.ts'
import { isSnapshotDue, noteEnvelope, takeSnapshot } from './loading.ts'
import type { Feed, OwnClient, PendingWrite, Replica } from './replica.ts'

/** Everything pending in one document, as envelopes that are not durable yet. */
export type Batch = {
  readonly feed: Feed
  readonly writes: readonly { readonly write: PendingWrite; readonly seq: number }[]
  readonly envelopes: readonly Envelope[]
  /** The client's first unused clock once the batch is durable. */
  readonly clock: number
  readonly deps: ReadonlyMap<PeerId, FeedHead>
  readonly snapshot: Snapshot | undefined
}

/** Takes everything pending out of the document and seals it: one envelope, or few when actors or size ask for it. */
export function composeBatch(replica: Replica, feed: Feed): Batch {
  const { live, own } = feed
  if (!live || !own) throw new Error(`${feed.doc} has pending writes and is not loaded`)
  const pending = feed.pending
  feed.pending = []
  const envelopes: Envelope[] = []
  const writes: { write: PendingWrite; seq: number }[] = []
  let head = feed.heads.get(replica.self)
  const deltas = changedDeps(replica, feed, own)
  for (const group of groupWrites(pending)) {
    const changes = group.flatMap(({ change }) => change ?? [])
    if (changes.length > 0) {
      const first = envelopes.length === 0
      const envelope = sealOwn(replica, feed, {
        seq: (head?.seq ?? 0) + 1,
        prev: head?.hash ?? null,
        deps: first ? Object.fromEntries(deltas) : {},
        nonce: first && !own.declared ? own.nonce : undefined,
        actor: group[0]?.actor,
        update: joinOwnChanges(changes),
      })
      envelopes.push(envelope)
      noteEnvelope(replica, live, envelope)
      head = { seq: envelope.seq, hash: envelope.hash }
    }
    for (const write of group) writes.push({ write, seq: head?.seq ?? 0 })
  }
  const heads = new Map(feed.heads)
  if (head) heads.set(replica.self, head)
  // Everything in the live state is accepted or in this batch: the only moment at which that is certain.
  const due = !feed.dirty && isSnapshotDue(feed, live, false)
  const snapshot = due ? takeSnapshot(live, heads) : undefined
  return { feed, writes, envelopes, clock: Y.getState(live.state.store, own.client), deps: deltas, snapshot }
}

type OwnBody = Pick<Envelope, 'seq' | 'prev' | 'deps' | 'nonce' | 'actor' | 'update'>

function sealOwn(replica: Replica, feed: Feed, body: OwnBody): Envelope {
  const { mesh } = replica.membership()
  const at = Math.max(0, Math.floor(replica.clock.wallMs()))
  return sealEnvelope({ mesh, doc: feed.doc, author: replica.self, at, ...body }, replica.signer, replica.crypto)
}

function changedDeps(replica: Replica, feed: Feed, own: OwnClient): Map<PeerId, FeedHead> {
  const changed = new Map<PeerId, FeedHead>()
  for (const [author, head] of feed.heads)
    if (author !== replica.self && own.deps.get(author)?.seq !== head.seq) changed.set(author, head)
  return changed
}

/** Consecutive writes on behalf of one actor, as many as fit an envelope. */
function groupWrites(writes: readonly PendingWrite[]): PendingWrite[][] {
  const groups: PendingWrite[][] = []
  let size = 0
  for (const write of writes) {
    const bytes = write.change?.update.byteLength ?? 0
    const group = groups.at(-1)
    if (group && sameActor(group[0]?.actor, write.actor) && size + bytes <= UPDATE_BYTES_MAX) {
      group.push(write)
      size += bytes
    } else {
      groups.push([write])
      size = bytes
    }
  }
  return groups
}

const sameActor = (a: Actor | undefined, b: Actor | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.kind === b.kind &&
    a.id === b.id &&
    a.tokenId === b.tokenId &&
    a.gateway === b.gateway &&
    a.abilities.length === b.abilities.length &&
    a.abilities.every((ability, i) => ability === b.abilities[i]))

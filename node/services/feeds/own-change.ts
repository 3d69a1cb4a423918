import * as Y from 'yjs'
import { isVolatile } from '../../../crdt/ids.ts'
import { UPDATE_BYTES_MAX } from '../../../protocols/feed/envelope.ts'
import { inspectUpdate } from '../../../protocols/feed/inspect.ts'
import type { OwnChange } from '../../../protocols/feed/own-update.ts'
import { LIVE_BYTES_MAX } from './generations.ts'
import type { Feed, LiveDoc } from './replica.ts'

export type Run<T> = { value: T; change: OwnChange | undefined } | { error: unknown }

/**
 * Runs the change in a transaction. When it throws, or writes what no other member would accept, the error comes back,
 * and if it had written anything by then, the document is dirty.
 */
export function runChange<T>(feed: Feed, live: LiveDoc, change: (state: Y.Doc) => T): Run<T> {
  const { state } = live
  if (live.writing) throw new Error('a change of a document changes the same document through the service')
  const before = Y.getState(state.store, state.clientID)
  const captured: OwnChange[] = []
  const capture = (update: Uint8Array, _origin: unknown, _doc: Y.Doc, transaction: Y.Transaction): void => {
    captured.push({ update, deletes: transaction.deleteSet.clients })
  }
  live.writing = true
  state.on('update', capture)
  try {
    const value = state.transact(() => change(state))
    if (captured.length === 0) return { value, change: undefined }
    const joined = joinCaptured(captured)
    assertAcceptable(feed, live, joined, before)
    return { value, change: joined }
  } catch (error) {
    if (captured.length > 0) feed.dirty = true
    return { error }
  } finally {
    state.off('update', capture)
    live.writing = false
  }
}

function joinCaptured(captured: readonly OwnChange[]): OwnChange {
  const [only] = captured
  if (only && captured.length === 1) return only
  throw new Error('a change of a document started transactions of its own')
}

/** What others would refuse must not leave this node: they would have to take it for an attack. */
function assertAcceptable(feed: Feed, live: LiveDoc, { update }: OwnChange, before: number): void {
  const { state } = live
  const clockOf = (client: number): number => (client === state.clientID ? before : Y.getState(state.store, client))
  const inspection = inspectUpdate(update, { client: state.clientID, clockOf })
  if (inspection.kind !== 'sound')
    throw new Error(
      `a change that no member would accept: ${'reason' in inspection ? inspection.reason : 'unknown parts'}`,
    )
  if (update.byteLength > UPDATE_BYTES_MAX)
    throw new RangeError(`a change of ${update.byteLength} bytes, at most ${UPDATE_BYTES_MAX} are allowed`)
  if (!isVolatile(feed.doc)) return
  const pending = feed.pending.reduce((sum, write) => sum + (write.change?.update.byteLength ?? 0), 0)
  // Envelopes add to the update; half the bound keeps every envelope of an honest author acceptable.
  if (feed.memoryBytes + 2 * (pending + update.byteLength) > LIVE_BYTES_MAX)
    throw new RangeError(`${feed.doc} would grow beyond ${LIVE_BYTES_MAX} bytes: start a new generation`)
}

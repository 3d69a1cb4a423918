import type { PeerId } from '../../crdt/ids.ts'
import { encodeSync, SYNC_PROTOCOL, type SyncMessage } from '../../protocols/sync.ts'
import type { Cancel, Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Channel, PeerNetwork } from '../ports/peer-network.ts'

/** What may wait for a slow peer. Beyond it nothing is pushed any more: anti-entropy brings it later. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024
const OPEN_MS = 10_000
/** A peer that refuses the channel (it may not know yet that we are a member) is asked again after 1 s, 2 s, … 30 s. */
const RETRY_FIRST_MS = 1000
const RETRY_MAX_MS = 30_000

/** The channel on which this node speaks to one connected member. */
export type SyncLink = {
  readonly peer: PeerId
  readonly isOpen: boolean
  /** Queues a frame, or drops it when the peer is too slow; then `onCaughtUp` is called once it has drained. */
  post(frame: Uint8Array): void
  /** Waits for the peer to take the frame. Resolves false when the link is gone. */
  send(message: SyncMessage): Promise<boolean>
  /** Opens the channel now if it is not: the peer has just shown that it takes us for a member. */
  hurry(): void
  /** Flushes and closes. */
  close(): Promise<void>
}

export type SyncLinkDeps = {
  readonly network: Pick<PeerNetwork, 'open'>
  readonly clock: Clock
  readonly log: Log
  readonly onOpen: (link: SyncLink) => void
  readonly onCaughtUp: (link: SyncLink) => void
}

export function createSyncLink(deps: SyncLinkDeps, peer: PeerId): SyncLink {
  const { network, clock, log } = deps
  const stopped = new AbortController()
  let channel: Channel | undefined
  let opening = false
  let failures = 0
  let cancelRetry: Cancel = () => undefined
  let waitingBytes = 0
  let isLagging = false

  const retry = (): void => {
    if (stopped.signal.aborted) return
    cancelRetry = clock.after(Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(failures++, 10)), () => void open())
  }
  const open = async (): Promise<void> => {
    if (opening || channel !== undefined || stopped.signal.aborted) return
    opening = true
    cancelRetry()
    const giveUp = new AbortController()
    const cancelTimeout = clock.after(OPEN_MS, () => giveUp.abort(new Error('no answer in time')))
    try {
      channel = await network.open(peer, SYNC_PROTOCOL, AbortSignal.any([giveUp.signal, stopped.signal]))
    } catch (error) {
      log.debug({ peer, error: String(error) }, 'sync channel could not be opened')
      retry()
    } finally {
      cancelTimeout()
      opening = false
    }
    if (channel !== undefined) await use(channel)
  }
  const use = async (open: Channel): Promise<void> => {
    if (stopped.signal.aborted) return await open.close()
    const openedMs = clock.monoMs()
    waitingBytes = 0
    isLagging = false
    deps.onOpen(link)
    await ended(open)
    channel = undefined
    if (clock.monoMs() - openedMs > RETRY_MAX_MS) failures = 0
    retry()
  }
  const settle = (bytes: number, of: Channel): void => {
    if (of !== channel) return
    waitingBytes -= bytes
    if (waitingBytes > 0 || !isLagging) return
    isLagging = false
    deps.onCaughtUp(link)
  }

  const link: SyncLink = {
    peer,
    get isOpen() {
      return channel !== undefined
    },
    post(frame) {
      const to = channel
      if (to === undefined || isLagging) return
      if (waitingBytes + frame.byteLength > WAITING_BYTES_MAX) {
        isLagging = true
        return
      }
      waitingBytes += frame.byteLength
      to.send(frame).then(
        () => settle(frame.byteLength, to),
        () => undefined, // the end of the channel is noticed by `ended`
      )
    },
    async send(message) {
      const to = channel
      if (to === undefined) return false
      try {
        await to.send(encodeSync(message))
        return true
      } catch {
        return false // as above
      }
    },
    hurry: () => void open(),
    async close() {
      stopped.abort(new Error('not needed any more'))
      cancelRetry()
      await channel?.close()
    },
  }
  void open()
  return link
}

/** Resolves when the channel is of no use any more. The other side says nothing on it. */
async function ended(channel: Channel): Promise<void> {
  try {
    for await (const _ of channel.frames) channel.abort(new Error('the peer answered on the wrong channel'))
  } catch {
    // aborted or lost: that is what we are waiting for
  }
}

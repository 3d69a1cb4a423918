import type { PeerId } from '../../../crdt/ids.ts'
import { decodeFrame, encodeMessage, type LeaseMessage } from '../../../protocols/lease/frame.ts'
import type { Signatures } from '../../../protocols/lease/signing.ts'
import { LEASE_PROTOCOL } from '../../../protocols/lease/messages.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'
import { createFrameWriter, OUTBOX_MAX } from './lease-frames.ts'
import type { LeaseVoter } from './lease-voter.ts'

export type LeaseLinks = {
  /** Never waits and never fails: what cannot be delivered is dropped, the sender retransmits. */
  readonly send: (to: readonly PeerId[], message: LeaseMessage) => void
  readonly close: () => Promise<void>
}

type Link = { write: (message: Uint8Array) => void; readonly abort: AbortController; done: Promise<void> }

/** One kept-open channel to each node that votes or is asked to, opened when first needed; this node's own voter is called directly. */
export function createLeaseLinks(deps: {
  network: PeerNetwork
  signatures: Signatures
  clock: Clock
  log: Log
  /** This node's own voter, if it runs one. */
  local: LeaseVoter | undefined
  openTimeoutMs: number
  onMessage: (from: PeerId, message: LeaseMessage) => void
}): LeaseLinks {
  const { network, local, clock, onMessage } = deps
  const { self } = network
  const links = new Map<PeerId, Link>()
  let isClosed = false

  const openLink = (peer: PeerId): Link => {
    const waiting: Uint8Array[] = []
    const abort = new AbortController()
    const write = (message: Uint8Array): void => {
      if (waiting.length < OUTBOX_MAX) waiting.push(message)
    }
    const link: Link = { write, abort, done: Promise.resolve() }
    links.set(peer, link)
    link.done = runLink(deps, { peer, signal: abort.signal }, (channel) => {
      link.write = createFrameWriter(channel, clock)
      for (const message of waiting) link.write(message)
    }).finally(() => links.delete(peer))
    return link
  }

  return {
    send(to, message) {
      if (isClosed) return
      let bytes: Uint8Array | undefined
      for (const peer of to) {
        if (peer !== self) (links.get(peer) ?? openLink(peer)).write((bytes ??= encodeMessage(message)))
      }
      // After what goes to the others: it is on its way while this node's own voter is at work.
      if (to.includes(self)) clock.soon(() => local?.submit(self, message, (reply) => onMessage(self, reply)))
    },
    async close() {
      isClosed = true
      const open = [...links.values()]
      for (const { abort } of open) abort.abort(new Error('closing'))
      await Promise.all(open.map(({ done }) => done))
    },
  }
}

type LinkDeps = Parameters<typeof createLeaseLinks>[0]

/** Lives as long as the channel. Never rejects: an unreachable voter is an everyday event. */
async function runLink(
  deps: LinkDeps,
  to: { peer: PeerId; signal: AbortSignal },
  onOpen: (channel: Channel) => void,
): Promise<void> {
  const { network, signatures, clock, log, openTimeoutMs, onMessage } = deps
  const { peer, signal } = to
  const timeout = new AbortController()
  const cancelTimeout = clock.after(openTimeoutMs, () => timeout.abort(new Error('the voter did not answer in time')))
  let channel: Channel | undefined
  try {
    channel = await network.open(peer, LEASE_PROTOCOL, AbortSignal.any([signal, timeout.signal]))
    cancelTimeout()
    const opened = channel
    signal.addEventListener('abort', () => opened.abort(new Error('closing')), { once: true })
    signal.throwIfAborted()
    onOpen(channel)
    for await (const frame of channel.frames)
      for (const message of decodeFrame(signatures, frame)) onMessage(peer, message)
  } catch (error) {
    channel?.abort(new Error('the lease channel failed', { cause: error }))
    log.debug({ err: error, peer }, 'no lease channel to this voter')
  } finally {
    cancelTimeout()
  }
}

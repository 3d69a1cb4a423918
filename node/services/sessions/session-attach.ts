import { can, type Actor } from '../../../crdt/actor.ts'
import { domainError, type DomainError } from '../../../crdt/errors.ts'
import type { PeerId, SessionId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { decodeCanonical, encodeCanonical } from '../../../protocols/codec.ts'
import {
  PTY_PROTOCOL,
  PtyAnswer,
  PtyOpen,
  STREAM_FRAME_BYTES_MAX,
  decodeViewerFrame,
} from '../../../protocols/session-stream.ts'
import type { Channel } from '../../ports/peer-network.ts'
import type { FramePipe, SessionHosts } from '../../ports/session-host.ts'
import type { SessionAction, SessionServiceDeps } from './session-deps.ts'
import type { SessionTarget } from './session-target.ts'

/** Terminals that one node's users watch on one machine at once. */
const CHANNELS_PER_PEER_MAX = 64
/** The question and its answer at the start of a channel. */
const GREETING_MS = 5000

/** What is watched on a channel of its own: the sessions of a machine, or other programs that session hosts keep. */
export type Watched = {
  readonly protocol: string
  readonly hosts: Pick<SessionHosts, 'open'>
  /** As the audit log calls it. */
  readonly action: string
  /** Whether this machine lets the actor watch, by ability and by its own policy. */
  admit(actor: Actor, from: PeerId): DomainError | undefined
  /** Asked for every frame: what a machine lets others do may change while they watch. */
  mayWrite(actor: Actor, from: PeerId): boolean
  /** @errors session_not_found, session_ended */
  live(id: SessionId): Result<unknown>
}

type AttachDeps = Pick<SessionServiceDeps, 'network' | 'clock' | 'audit' | 'log' | 'hasCapability'>

export const watchedSessions = ({ hosts }: Pick<SessionServiceDeps, 'hosts'>, target: SessionTarget): Watched => ({
  protocol: PTY_PROTOCOL,
  hosts,
  action: 'session.attach' satisfies SessionAction,
  admit: (actor, from) => target.admit('session.attach', actor, from),
  mayWrite: (actor, from) => can(actor, 'session:write') && target.admit('session.input', actor, from) === undefined,
  live: (id) => target.live(id),
})

export type Attach = {
  readonly actor: Actor
  readonly id: SessionId
  readonly signal: AbortSignal
}

/**
 * Opens the way to a program of this machine, unless something is wrong with the asking already. Audited before anything
 * flows; denials too.
 */
export async function openHere(
  { audit, log }: Pick<AttachDeps, 'audit' | 'log'>,
  watched: Watched,
  { actor, id, from, wrong }: { actor: Actor; id: SessionId; from: PeerId; wrong?: string },
): Promise<Result<FramePipe>> {
  const refused = wrong === undefined ? watched.admit(actor, from) : domainError('machine_refused', { message: wrong })
  await audit.record({ action: watched.action, actor, from, outcome: refused ? 'denied' : 'allowed' })
  if (refused) return err(refused)
  const live = watched.live(id)
  if (!live.ok) return live
  try {
    return ok(await watched.hosts.open(id))
  } catch (error) {
    log.debug({ err: error, session: id }, 'a session ended while somebody attached')
    return err(domainError('session_ended'))
  }
}

/** Opens the way to a program of another machine. @errors machine_offline, and what the machine answers */
export async function openThere(
  { network, clock, log }: Pick<AttachDeps, 'network' | 'clock' | 'log'>,
  { peer, protocol }: { peer: PeerId; protocol: string },
  { actor, id, signal }: Attach,
): Promise<Result<FramePipe>> {
  if (!network.mayBeReached(peer)) return err(domainError('machine_offline'))
  const giveUp = new AbortController()
  const abort = (): void => giveUp.abort(new Error('no answer in time'))
  const cancel = clock.after(GREETING_MS, abort)
  signal.addEventListener('abort', abort, { once: true })
  try {
    const channel = await network.open(peer, protocol, giveUp.signal)
    const abortChannel = (): void => channel.abort(new Error('no answer in time'))
    giveUp.signal.addEventListener('abort', abortChannel, { once: true })
    if (giveUp.signal.aborted) abortChannel()
    await channel.send(encodeCanonical({ v: 1, session: id, actor } satisfies PtyOpenFrame))
    const frames = channel.frames[Symbol.asyncIterator]()
    const first = await frames.next()
    giveUp.signal.removeEventListener('abort', abortChannel)
    if (first.done) return err(domainError('machine_offline'))
    const { refused } = decodeCanonical(PtyAnswer, first.value, STREAM_FRAME_BYTES_MAX)
    if (!refused) return ok({ ...pipeOf(channel), frames: { [Symbol.asyncIterator]: () => frames } })
    await channel.close()
    return err(domainError(refused.code, { message: refused.message }))
  } catch (error) {
    if (signal.aborted) return err(domainError('cancelled'))
    log.debug({ err: error, peer }, 'a terminal could not be opened')
    return err(domainError('machine_offline'))
  } finally {
    cancel()
    signal.removeEventListener('abort', abort)
  }
}

type PtyOpenFrame = { v: 1; session: SessionId; actor: Actor }

/** Lets other members watch what runs on this machine: frames are passed on, each checked, none kept. */
export function serveTerminals(deps: AttachDeps, watched: Watched): void {
  deps.network.handle(
    watched.protocol,
    {
      policy: { who: 'member', capability: 'control' },
      frameBytesMax: STREAM_FRAME_BYTES_MAX,
      channelsPerPeerMax: CHANNELS_PER_PEER_MAX,
      holdsConnection: true,
    },
    (channel) => serveOne(deps, watched, channel),
  )
}

async function serveOne(deps: AttachDeps, watched: Watched, channel: Channel): Promise<void> {
  const { clock, hasCapability, network } = deps
  const cancel = clock.after(GREETING_MS, () => channel.abort(new Error('nothing was asked in time')))
  const frames = channel.frames[Symbol.asyncIterator]()
  const first = await frames.next().finally(cancel)
  if (first.done) return
  const { session: id, actor } = decodeCanonical(PtyOpen, first.value, STREAM_FRAME_BYTES_MAX)
  const wrong = !hasCapability(network.self, 'run')
    ? 'This machine may not run anything for others.'
    : actor.gateway !== channel.peer
      ? 'Only the node that authenticated the actor may act for it.'
      : undefined
  const opened = await openHere(deps, watched, { actor, id, from: channel.peer, ...(wrong !== undefined && { wrong }) })
  try {
    await channel.send(encodeCanonical(answerOf(opened.ok ? undefined : opened.error)))
  } catch (error) {
    if (opened.ok) await opened.value.close() // the viewer has gone meanwhile
    throw error
  }
  if (!opened.ok) return
  const mayWrite = (): boolean => watched.mayWrite(actor, channel.peer)
  await relay({ channel, frames: { [Symbol.asyncIterator]: () => frames } }, opened.value, mayWrite)
}

const answerOf = (error: DomainError | undefined): PtyAnswerFrame => ({
  v: 1,
  refused: error ? { code: error.code, message: error.message } : null,
})
type PtyAnswerFrame = { v: 1; refused: { code: DomainError['code']; message: string } | null }

/** Until either side ends; then the other is ended too. Each frame is awaited, so a slow side slows the other. */
async function relay(
  { channel, frames }: { channel: Channel; frames: AsyncIterable<Uint8Array> },
  pipe: FramePipe,
  mayWrite: () => boolean,
): Promise<void> {
  const toHost = async (): Promise<void> => {
    try {
      for await (const frame of frames) {
        if (!isAllowed(frame, mayWrite)) throw new Error('a viewer may not say this')
        await pipe.send(frame)
      }
    } catch (error) {
      // At once: the other half would close the channel as if all were well.
      channel.abort(error instanceof Error ? error : new Error('the viewer failed', { cause: error }))
      throw error
    } finally {
      await pipe.close()
    }
  }
  const toViewer = async (): Promise<void> => {
    try {
      for await (const frame of pipe.frames) await channel.send(frame)
    } finally {
      await channel.close()
    }
  }
  const [host] = await Promise.allSettled([toHost(), toViewer()])
  // How the viewer's side ends is of interest; that the other side's sends then fail is a consequence.
  if (host.status === 'rejected') throw host.reason
}

/** Only the machine's own node ends, flushes or dismisses a host. @throws MalformedError */
function isAllowed(frame: Uint8Array, mayWrite: () => boolean): boolean {
  const { type } = decodeViewerFrame(frame)
  return type === 'attach' || type === 'ack' || ((type === 'input' || type === 'resize') && mayWrite())
}

function pipeOf(channel: Channel): Omit<FramePipe, 'frames'> {
  return {
    send: async (frame) => await channel.send(frame),
    close: async () => await channel.close(),
    abort: (reason) => channel.abort(reason),
  }
}

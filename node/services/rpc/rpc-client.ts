import type { z } from 'zod'
import type { Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import {
  decodeReply,
  encodeRpc,
  errorFromWire,
  RPC_FRAME_BYTES_MAX,
  RPC_PROTOCOL,
  RPC_VERSION,
} from '../../../protocols/rpc.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel, PeerNetwork } from '../../ports/peer-network.ts'

/** Calls to one peer that have no answer yet. */
const IN_FLIGHT_MAX = 256
const TIMEOUT_MS = 10_000
const OPEN_MS = 5000
/** A channel that nobody has used for so long is closed: in a large mesh it would keep its connection. */
const IDLE_MS = 60_000

export type RpcRequest<R extends z.ZodType> = {
  readonly actor: Actor
  readonly input: unknown
  readonly reply: R
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

export type RpcClient = {
  call<R extends z.ZodType>(peer: PeerId, method: string, request: RpcRequest<R>): Promise<Result<z.infer<R>>>
}

type Answer = Result<unknown>
type Line = {
  readonly channel: Channel
  readonly pending: Map<number, (answer: Answer) => void>
  /** Whoever asks from now on opens another. */
  readonly forget: () => void
  cancelRest: Cancel
}

const offline = (message?: string): Answer =>
  err(domainError('machine_offline', message === undefined ? {} : { message }))

/** The asking side: one kept-open channel per peer, many calls on it at once. */
export function createRpcClient(deps: { network: PeerNetwork; clock: Clock; log: Log }): RpcClient {
  const { network, clock, log } = deps
  const lines = new Map<PeerId, Promise<Line>>()
  let nextId = 0

  const lineTo = (peer: PeerId): Promise<Line> => {
    const known = lines.get(peer)
    if (known !== undefined) return known
    const forget = (): void => {
      if (lines.get(peer) === opening) lines.delete(peer)
    }
    const opening = openLine(peer, forget)
    lines.set(peer, opening)
    opening.then((line) => readAnswers(line).finally(forget), forget)
    return opening
  }
  const openLine = async (peer: PeerId, forget: () => void): Promise<Line> => {
    const giveUp = new AbortController()
    const cancel = clock.after(OPEN_MS, () => giveUp.abort(new Error('no answer in time')))
    try {
      const channel = await network.open(peer, RPC_PROTOCOL, giveUp.signal)
      return { channel, pending: new Map(), forget, cancelRest: () => undefined }
    } finally {
      cancel()
    }
  }
  const readAnswers = async (line: Line): Promise<void> => {
    const { channel, pending } = line
    try {
      for await (const frame of channel.frames) {
        const reply = decodeReply(frame)
        pending.get(reply.id)?.(reply.ok ? ok(reply.value) : err(errorFromWire(reply.error)))
      }
    } catch (error) {
      log.debug({ peer: channel.peer, error: String(error) }, 'rpc channel lost')
      channel.abort(error instanceof Error ? error : new Error(String(error)))
    }
    line.cancelRest()
    for (const settle of pending.values()) settle(offline('The connection to the machine was lost.'))
  }

  return {
    async call(peer, method, request) {
      if (request.signal?.aborted === true) return err(domainError('cancelled'))
      if (!network.mayBeReached(peer)) return err(domainError('machine_offline'))
      let line: Line
      try {
        line = await lineTo(peer)
      } catch (error) {
        log.debug({ peer, error: String(error) }, 'rpc channel refused')
        return err(domainError(network.connected().includes(peer) ? 'machine_refused' : 'machine_offline'))
      }
      if (line.pending.size >= IN_FLIGHT_MAX) return err(domainError('rate_limited'))
      const id = nextId++
      const frame = encodeRpc({ v: RPC_VERSION, id, method, actor: request.actor, input: request.input ?? null })
      if (frame.byteLength > RPC_FRAME_BYTES_MAX) return err(domainError('too_large'))
      const answer = await ask(clock, line, { id, frame, ...request })
      restLater(clock, line)
      return answer.ok ? parseAnswer(request.reply, answer.value) : answer
    },
  }
}

function restLater(clock: Clock, line: Line): void {
  line.cancelRest()
  line.cancelRest = clock.after(IDLE_MS, () => {
    if (line.pending.size > 0) return
    line.forget()
    void line.channel.close()
  })
}

async function ask(
  clock: Clock,
  { channel, pending }: Line,
  question: { id: number; frame: Uint8Array; timeoutMs?: number; signal?: AbortSignal },
): Promise<Answer> {
  const { id, frame, signal, timeoutMs = TIMEOUT_MS } = question
  const { promise, resolve } = Promise.withResolvers<Answer>()
  const giveUp = (answer: Answer): void => {
    resolve(answer)
    channel.send(encodeRpc({ v: RPC_VERSION, cancel: id })).catch(() => undefined) // lost: nothing to cancel
  }
  const onAbort = (): void => giveUp(err(domainError('cancelled')))
  const cancelTimeout = clock.after(timeoutMs, () =>
    giveUp(offline(`The machine did not answer within ${timeoutMs / 1000} s.`)),
  )
  pending.set(id, resolve)
  signal?.addEventListener('abort', onAbort, { once: true })
  channel.send(frame).catch(() => resolve(offline('The connection to the machine was lost.')))
  try {
    return await promise
  } finally {
    pending.delete(id)
    cancelTimeout()
    signal?.removeEventListener('abort', onAbort)
  }
}

function parseAnswer<R extends z.ZodType>(schema: R, value: unknown): Result<z.infer<R>> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return ok(parsed.data)
  return err(domainError('internal', { message: 'The machine answered in a form that this release does not know.' }))
}

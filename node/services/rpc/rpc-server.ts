import type { z } from 'zod'
import type { Actor } from '../../../crdt/actor.ts'
import type { Capability } from '../../../crdt/capability.ts'
import { domainError } from '../../../crdt/errors.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import { err, type Result } from '../../../crdt/result.ts'
import { MalformedError } from '../../../protocols/codec.ts'
import { decodeFromCaller, encodeRpc, RPC_FRAME_BYTES_MAX, RPC_VERSION } from '../../../protocols/rpc.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { Channel } from '../../ports/peer-network.ts'
import { createRateLimiter } from '../rate-limit.ts'
import type { RpcMethod } from './rpc.ts'

/** Requests of one peer that are being worked on. */
const IN_FLIGHT_PER_PEER_MAX = 32
/** A peer that does not read our answers is not worked for. */
const ANSWERS_WAITING_MAX = 64

/** Frames of one peer: a gateway under load sends some dozens a second. Beyond it we read more slowly. */
const FRAMES_PER_PEER = { count: 1000, perMs: 10_000, keysMax: 4096 }

/** Refused calls of one peer that are audited, each a synced write. Those of an honest one come from a rare race. */
const REFUSALS_PER_PEER = { count: 60, perMs: 60_000, keysMax: 4096 }

export type RpcServerDeps = {
  readonly self: PeerId
  readonly log: Log
  readonly clock: Pick<Clock, 'monoMs' | 'after'>
  /** For people to know. */
  readonly onMisconduct?: (peer: PeerId, what: string) => void
  readonly hasCapability: (peer: PeerId, capability: Capability) => boolean
  /**
   * Called before a method runs, and for what is refused by capability. Resolves once the request is in the audit feed; a
   * rejection stops it.
   */
  readonly onRequest?: (from: PeerId, method: string, actor: Actor, refused?: string) => Promise<void> | void
}

type Call = { readonly method: string; readonly actor: Actor; readonly input: unknown }
type Registered = {
  readonly capability: Capability | undefined
  readonly needsRun: boolean
  /** Parses the input, then, through `before`, audits, then runs. */
  readonly run: (call: Call, from: PeerId, signal: AbortSignal, before: () => Promise<void>) => Promise<Result<unknown>>
}

export type RpcServer = {
  register<I extends z.ZodType, O>(method: RpcMethod<I, O>): void
  /** Everything but the network: used for our own calls too. */
  answer(call: Call, from: PeerId, signal: AbortSignal): Promise<Result<unknown>>
  serve(channel: Channel): Promise<void>
}

/** The answering side: checks capability, input, and audits before anything runs. */
export function createRpcServer(deps: RpcServerDeps): RpcServer {
  const { self, log, hasCapability, onRequest } = deps
  const methods = new Map<string, Registered>()
  const inFlight = new Map<PeerId, number>()
  const slowDown = createSlowDown(deps)
  const refusal = (call: Call, from: PeerId, method: Registered | undefined): string | undefined => {
    if (method === undefined) return `This machine's release does not know the method ${call.method}.`
    if (from === self) return undefined
    if (call.actor.gateway !== from) return 'Only the node that authenticated the actor may act for it.'
    if (!hasCapability(from, 'control')) return 'The asking node may not control other machines.'
    if (method.capability !== undefined && !hasCapability(from, method.capability))
      return `The asking node lacks the capability ${method.capability}.`
    if (method.needsRun && !hasCapability(self, 'run')) return 'This machine may not run anything for others.'
    return undefined
  }
  const answer: RpcServer['answer'] = async (call, from, signal) => {
    const method = methods.get(call.method)
    const refused = refusal(call, from, method)
    if (method === undefined || refused !== undefined) {
      if (from !== self) await slowDown.afterRefusal(from)
      await onRequest?.(from, call.method, call.actor, refused)
      return err(domainError('machine_refused', refused === undefined ? {} : { message: refused }))
    }
    return await method.run(call, from, signal, async () => onRequest?.(from, call.method, call.actor))
  }
  const answerSafely: RpcServer['answer'] = async (call, from, signal) => {
    const working = inFlight.get(from) ?? 0
    if (working >= IN_FLIGHT_PER_PEER_MAX) return err(domainError('rate_limited'))
    inFlight.set(from, working + 1)
    try {
      return await answer(call, from, signal)
    } catch (error) {
      // A bug here must not look like a lost connection there; the caller learns only that something is wrong.
      log.error({ peer: from, method: call.method, error: String(error) }, 'rpc method failed')
      return err(domainError('internal'))
    } finally {
      const left = (inFlight.get(from) ?? 1) - 1
      if (left > 0) inFlight.set(from, left)
      else inFlight.delete(from)
    }
  }

  return {
    answer,
    register(method) {
      if (methods.has(method.name)) throw new Error(`${method.name} is served already`)
      methods.set(method.name, {
        capability: method.capability,
        needsRun: method.needsRun ?? true,
        async run(call, from, signal, before) {
          const input = method.input.safeParse(call.input)
          if (!input.success) return err(domainError('invalid_input', { details: { fields: fieldsOf(input.error) } }))
          await before()
          return await method.run(call.actor, input.data, from, signal)
        },
      })
    },
    serve: (channel) => serveCalls(channel, answerSafely, () => slowDown.beforeFrame(channel.peer)),
  }
}

type SlowDown = {
  /** Resolves when the peer may be read on. */
  beforeFrame(peer: PeerId): Promise<void>
  /** Resolves when a refusal of the peer may be written down. */
  afterRefusal(peer: PeerId): Promise<void>
}

/** A peer that asks too much waits for its turn: what it sends meanwhile stays with it. */
function createSlowDown({ clock, onMisconduct }: RpcServerDeps): SlowDown {
  const frames = createRateLimiter(clock, FRAMES_PER_PEER)
  const refusals = createRateLimiter(clock, REFUSALS_PER_PEER)
  const wait = async (limiter: typeof frames, peer: PeerId): Promise<void> => {
    for (let ms = limiter.take(peer); ms !== undefined; ms = limiter.take(peer)) {
      onMisconduct?.(peer, 'asks for more than this node does for one member (rpc): slowed down')
      const { promise, resolve } = Promise.withResolvers<void>()
      clock.after(ms, resolve)
      await promise
    }
  }
  return { beforeFrame: (peer) => wait(frames, peer), afterRefusal: (peer) => wait(refusals, peer) }
}

/** Reads requests and cancellations until the caller is gone; works on many at once. */
async function serveCalls(
  channel: Channel,
  answer: RpcServer['answer'],
  beforeFrame: () => Promise<void>,
): Promise<void> {
  const calls = new Map<number, AbortController>()
  let waiting = 0
  const work = async (id: number, call: Call): Promise<void> => {
    const controller = new AbortController()
    calls.set(id, controller)
    const result = await answer(call, channel.peer, controller.signal)
    calls.delete(id)
    if (controller.signal.aborted) return
    if (++waiting > ANSWERS_WAITING_MAX) channel.abort(new Error('the peer does not read its answers'))
    await channel.send(encodeReply(id, result)).finally(() => waiting--)
  }
  try {
    for await (const frame of channel.frames) {
      await beforeFrame()
      const message = decodeFromCaller(frame)
      if ('cancel' in message) calls.get(message.cancel)?.abort(new Error('cancelled by the caller'))
      else if (calls.has(message.id)) throw new MalformedError('the peer used one request id twice')
      else work(message.id, message).catch((error: Error) => channel.abort(error))
    }
  } finally {
    for (const controller of calls.values()) controller.abort(new Error('the caller is gone'))
  }
}

function encodeReply(id: number, result: Result<unknown>): Uint8Array {
  const frame = encodeRpc(
    result.ok
      ? { v: RPC_VERSION, id, ok: true, value: result.value ?? null }
      : { v: RPC_VERSION, id, ok: false, error: result.error },
  )
  return frame.byteLength <= RPC_FRAME_BYTES_MAX ? frame : encodeReply(id, err(domainError('too_large')))
}

function fieldsOf(error: z.ZodError): Record<string, string[]> {
  const fields: Record<string, string[]> = {}
  for (const issue of error.issues) (fields[issue.path.join('.') || 'input'] ??= []).push(issue.message)
  return fields
}

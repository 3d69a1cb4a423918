import type { Actor } from '../../../crdt/actor.ts'
import type { Capability } from '../../../crdt/capability.ts'
import type { PeerId } from '../../../crdt/ids.ts'
import type { Result } from '../../../crdt/result.ts'
import type { z } from 'zod'

/** One operation that another member may ask of this node, as data. */
export type RpcMethod<I extends z.ZodType, O> = {
  readonly name: string
  readonly input: I
  /** What the caller needs beside `control`. */
  readonly capability?: Capability
  /** False for what is only told, not done: a node without `run` answers too. True unless given. */
  readonly needsRun?: boolean
  /**
   * Called after capability (`control` there, `run` here) and audit. The actor is what the caller's node asserts.
   * `signal` aborts when the caller gives up or is gone.
   */
  readonly run: (actor: Actor, input: z.infer<I>, from: PeerId, signal: AbortSignal) => Promise<Result<O>>
}

export type Rpc = {
  serve<I extends z.ZodType, O>(method: RpcMethod<I, O>): void
  /**
   * Calls a method on a member; on ourselves without the network. The answer is not parsed further than JSON-like
   * values: the caller's `reply` schema does that.
   * @errors machine_offline (not connected, lost, or no answer in time), machine_refused (policy, or a release that does
   * not know the method), too_large, rate_limited (too many calls in flight), cancelled, and what the method answers
   */
  call<R extends z.ZodType>(
    peer: PeerId,
    method: string,
    request: {
      actor: Actor
      input: unknown
      reply: R
      /** 10 s unless given. */
      timeoutMs?: number
      signal?: AbortSignal
    },
  ): Promise<Result<z.infer<R>>>
}

import type { Actor } from '../../crdt/actor.ts'
import type { PeerId } from '../../crdt/ids.ts'
import type { Result } from '../../crdt/result.ts'
import type { z } from 'zod'

/** One operation that another member may ask of this node, as data. */
export type RpcMethod<I extends z.ZodType, O> = {
  readonly name: string
  readonly input: I
  /** Called after capability (`control` there, `run` here) and audit. The actor is what the caller's node asserts. */
  readonly run: (actor: Actor, input: z.infer<I>, from: PeerId) => Promise<Result<O>>
}

export type Rpc = {
  serve<I extends z.ZodType, O>(method: RpcMethod<I, O>): void
  /**
   * Calls a method on a member; on ourselves without the network. The answer is not parsed further than JSON-like
   * values: the caller's `reply` schema does that.
   * @errors machine_offline (unreachable), machine_refused (policy), and what the method answers
   */
  call<R extends z.ZodType>(
    peer: PeerId,
    method: string,
    request: { actor: Actor; input: unknown; reply: R },
  ): Promise<Result<z.infer<R>>>
}

import { z } from 'zod'
import { decodeCanonical, encodeCanonical } from '../codec.ts'
import { Deny, Grant, Incarnation, LeaseId, LeaseRequest, Release } from './messages.ts'

/** A request over 512 long paths fits; anything larger is a mistake or an attack. */
export const MESSAGE_BYTES_MAX = 512 * 1024
/** One message of the largest size and the small ones batched with it. */
export const FRAME_BYTES_MAX = 1024 * 1024
export const MESSAGES_PER_FRAME_MAX = 64

/** Unsigned hint to a node that was refused: what stood in the way of this lease is gone. */
export const Free = z.strictObject({ lid: LeaseId })
/**
 * A voter to a node that says it has seen more of this incarnation than the voter remembers: show me. A bare number
 * must not be able to put a voter out of service, its own signature may.
 */
export const Prove = z.strictObject({ inc: Incarnation, above: z.int().min(0) })

export const LeaseMessage = z.discriminatedUnion('t', [
  z.strictObject({ t: z.literal('request'), m: LeaseRequest }),
  z.strictObject({ t: z.literal('release'), m: Release }),
  z.strictObject({ t: z.literal('proof'), m: Grant }),
  z.strictObject({ t: z.literal('grant'), m: Grant }),
  z.strictObject({ t: z.literal('deny'), m: Deny }),
  z.strictObject({ t: z.literal('free'), m: Free }),
  z.strictObject({ t: z.literal('prove'), m: Prove }),
])
export type LeaseMessage = z.infer<typeof LeaseMessage>

const Frame = z.array(z.instanceof(Uint8Array)).min(1).max(MESSAGES_PER_FRAME_MAX)

export const encodeMessage = (message: LeaseMessage): Uint8Array => encodeCanonical(message)

/** Takes encoded messages off the front of `queue`, as many as fit into one frame. */
export function takeFrame(queue: Uint8Array[]): Uint8Array {
  let count = 0
  let bytes = 0
  for (const message of queue) {
    if (count === MESSAGES_PER_FRAME_MAX || (count > 0 && bytes + message.byteLength > MESSAGE_BYTES_MAX)) break
    count += 1
    bytes += message.byteLength
  }
  return encodeCanonical(queue.splice(0, count))
}

/** @throws MalformedError */
export function decodeFrame(frame: Uint8Array): LeaseMessage[] {
  return decodeCanonical(Frame, frame, FRAME_BYTES_MAX).map((bytes) =>
    decodeCanonical(LeaseMessage, bytes, MESSAGE_BYTES_MAX),
  )
}

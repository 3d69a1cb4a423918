import type { Readable } from 'node:stream'

/** Frames between `rookery session attach` and the node: type byte, 4-byte big-endian length, payload. */
export const FRAME = { output: 0, gap: 1, exit: 2, refused: 3, input: 16, resize: 17 } as const
export type FrameType = (typeof FRAME)[keyof typeof FRAME]

const HEADER_BYTES = 5

/** Output chunks and pastes are far smaller; anything larger is not our program talking. */
const PAYLOAD_BYTES_MAX = 1024 * 1024

export function encodeFrame(type: FrameType, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.byteLength)
  frame[0] = type
  new DataView(frame.buffer).setUint32(1, payload.byteLength)
  frame.set(payload, HEADER_BYTES)
  return frame
}

export const encodeJsonFrame = (type: FrameType, value: unknown): Uint8Array =>
  encodeFrame(type, new TextEncoder().encode(JSON.stringify(value)))

export type Frame = { readonly type: number; readonly payload: Uint8Array }

/** Splits a byte stream into frames; ends with it. @throws on a frame over the limit */
export async function* readFrames(stream: Readable): AsyncGenerator<Frame> {
  let pending = Buffer.alloc(0)
  for await (const chunk of stream) {
    pending = pending.byteLength === 0 ? chunk : Buffer.concat([pending, chunk])
    while (pending.byteLength >= HEADER_BYTES) {
      const length = pending.readUInt32BE(1)
      if (length > PAYLOAD_BYTES_MAX) throw new Error(`a frame of ${length} bytes is over the limit`)
      if (pending.byteLength < HEADER_BYTES + length) break
      yield { type: pending[0] ?? 0, payload: pending.subarray(HEADER_BYTES, HEADER_BYTES + length) }
      pending = pending.subarray(HEADER_BYTES + length)
    }
  }
}

export const parseJsonPayload = (frame: Frame): unknown => JSON.parse(new TextDecoder().decode(frame.payload))

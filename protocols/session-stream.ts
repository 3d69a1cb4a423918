import { z } from 'zod'
import { Actor } from '../crdt/actor.ts'
import { DOMAIN_ERRORS, type DomainErrorCode } from '../crdt/errors.ts'
import { SessionId } from '../crdt/ids.ts'
import { PTY_COLS, PTY_ROWS, SessionUsage } from '../crdt/session.ts'
import { MalformedError, decodeCanonical, encodeCanonical } from './codec.ts'

/** The protocol on which one member watches a terminal of another; carries the frames below after one exchange. */
export const PTY_PROTOCOL = '/rookery/pty/1'

/** The same for what a command of another member puts out; nothing is ever typed on it. */
export const EXECUTION_PROTOCOL = '/rookery/execution/1'

/** Bytes of output a viewer may have unacknowledged; bounds every buffer between the PTY and the browser. */
export const VIEWER_WINDOW_BYTES = 512 * 1024
/** Largest output frame: big enough to make framing cheap, small enough to keep a keystroke's echo from queueing. */
export const OUTPUT_BYTES_MAX = 64 * 1024
/** Largest input of one call: a long paste. */
export const INPUT_BYTES_MAX = 64 * 1024
/** Largest frame in either direction: a full output or input and its header. */
export const STREAM_FRAME_BYTES_MAX = OUTPUT_BYTES_MAX + 1024

const RequestId = z.int().min(0).max(0xffff_ffff)
const Seq = z.int().min(0).max(Number.MAX_SAFE_INTEGER)

export const Size = z.strictObject({
  cols: z.int().min(PTY_COLS.min).max(PTY_COLS.max),
  rows: z.int().min(PTY_ROWS.min).max(PTY_ROWS.max),
})

/** What a session host knows about its program. */
export const ProgramState = z.strictObject({
  status: z.enum(['running', 'exited', 'failed']),
  size: Size,
  /** Milliseconds since the epoch. */
  startedAtMs: z.int().nullable(),
  endedAtMs: z.int().nullable(),
  exitCode: z.int().nullable(),
  signal: z.string().max(32).nullable(),
  /** Somebody asked for the end. */
  killed: z.boolean(),
  problem: z.string().max(2048).nullable(),
  // Hosts of earlier releases, which may still run, do not say.
  /** The agent has answered, and does nothing before it is written to. */
  waiting: z.boolean().default(false),
  usage: SessionUsage.nullable().default(null),
})
export type ProgramState = z.infer<typeof ProgramState>

const ViewerControl = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('attach'), fromSeq: Seq.optional() }),
  z.strictObject({ type: z.literal('resize'), id: RequestId, size: Size }),
  z.strictObject({ type: z.literal('watch') }),
  z.strictObject({ type: z.enum(['flush', 'kill', 'quit']), id: RequestId }),
])

const HostControl = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('gap'), from: Seq, to: Seq }),
  z.strictObject({ type: z.literal('exit'), exitCode: z.int().nullable(), signal: z.string().max(32).nullable() }),
  z.strictObject({ type: z.literal('state'), state: ProgramState }),
  z.strictObject({ type: z.literal('reply'), id: RequestId, problem: z.enum(['ended', 'busy']).nullable() }),
  z.strictObject({ type: z.literal('end'), reason: z.enum(['slow', 'protocol']) }),
])

/** What a viewer, or the node as owner of the session, says to the host. */
export type ViewerFrame =
  | z.infer<typeof ViewerControl>
  | { readonly type: 'ack'; readonly seq: number }
  | { readonly type: 'input'; readonly id: number; readonly bytes: Uint8Array }

/** What the host says. `seq` counts the bytes of output before this chunk, from the session's start. */
export type HostFrame =
  | z.infer<typeof HostControl>
  | { readonly type: 'output'; readonly seq: number; readonly bytes: Uint8Array }

const TAG_CONTROL = 0
const TAG_OUTPUT = 1
const TAG_INPUT = 2
const TAG_ACK = 3

export function encodeViewerFrame(frame: ViewerFrame): Uint8Array {
  if (frame.type === 'ack') return withSeq(TAG_ACK, frame.seq, new Uint8Array())
  if (frame.type !== 'input') return control(frame)
  const out = new Uint8Array(5 + frame.bytes.byteLength)
  out[0] = TAG_INPUT
  new DataView(out.buffer).setUint32(1, frame.id)
  out.set(frame.bytes, 5)
  return out
}

export function encodeHostFrame(frame: HostFrame): Uint8Array {
  return frame.type === 'output' ? withSeq(TAG_OUTPUT, frame.seq, frame.bytes) : control(frame)
}

/** @throws MalformedError and nothing else, whatever the bytes. The input's bytes are a view, not a copy. */
export function decodeViewerFrame(frame: Uint8Array): ViewerFrame {
  const [tag] = frame
  if (tag === TAG_CONTROL) return decodeCanonical(ViewerControl, frame.subarray(1), STREAM_FRAME_BYTES_MAX)
  if (tag === TAG_ACK) {
    if (frame.byteLength !== 9) throw new MalformedError('an acknowledgement has nine bytes')
    return { type: 'ack', seq: readSeq(frame) }
  }
  if (tag !== TAG_INPUT) throw new MalformedError('unknown kind of frame')
  if (frame.byteLength < 5) throw new MalformedError('input is too short')
  const bytes = frame.subarray(5)
  if (bytes.byteLength > INPUT_BYTES_MAX) throw new MalformedError('input is too long')
  return { type: 'input', id: view(frame).getUint32(1), bytes }
}

/** @throws MalformedError and nothing else, whatever the bytes. The output's bytes are a view, not a copy. */
export function decodeHostFrame(frame: Uint8Array): HostFrame {
  const [tag] = frame
  if (tag === TAG_CONTROL) return decodeCanonical(HostControl, frame.subarray(1), STREAM_FRAME_BYTES_MAX)
  if (tag !== TAG_OUTPUT) throw new MalformedError('unknown kind of frame')
  if (frame.byteLength < 9) throw new MalformedError('output is too short')
  const bytes = frame.subarray(9)
  if (bytes.byteLength > OUTPUT_BYTES_MAX) throw new MalformedError('output is too long')
  return { type: 'output', seq: readSeq(frame), bytes }
}

/** First frame on `PTY_PROTOCOL`, from the viewer's node: who asks, for which session. */
export const PtyOpen = z.strictObject({ v: z.literal(1), session: SessionId, actor: Actor })
/** The answer: null, or why not. Only after null do stream frames flow. */
export const PtyAnswer = z.strictObject({
  v: z.literal(1),
  refused: z
    .strictObject({
      code: z.string().refine((code): code is DomainErrorCode => Object.hasOwn(DOMAIN_ERRORS, code), 'unknown error'),
      message: z.string().max(2048),
    })
    .nullable(),
})

/** What stands before a frame where the transport has none of its own (the unix socket of a session host). */
export function lengthPrefix(frame: Uint8Array): Uint8Array {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, frame.byteLength)
  return out
}

/** A frame with its length before it. */
export const lengthPrefixed = (frame: Uint8Array): Uint8Array => concat(lengthPrefix(frame), frame)

/** Takes the bytes of a connection as they come and gives back the whole frames; holds at most one frame in part. */
export function createFrameReader(): (chunk: Uint8Array) => Uint8Array[] {
  let rest = new Uint8Array()
  return (chunk) => {
    const frames: Uint8Array[] = []
    const bytes = rest.byteLength === 0 ? chunk : concat(rest, chunk)
    let at = 0
    while (bytes.byteLength - at >= 4) {
      const length = view(bytes).getUint32(at)
      if (length > STREAM_FRAME_BYTES_MAX) throw new MalformedError('frame too large')
      if (bytes.byteLength - at - 4 < length) break
      frames.push(bytes.subarray(at + 4, at + 4 + length))
      at += 4 + length
    }
    rest = bytes.slice(at)
    return frames
  }
}

function control(value: object): Uint8Array {
  const body = encodeCanonical(value)
  const out = new Uint8Array(1 + body.byteLength)
  out[0] = TAG_CONTROL
  out.set(body, 1)
  return out
}

function withSeq(tag: number, seq: number, bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(9 + bytes.byteLength)
  out[0] = tag
  new DataView(out.buffer).setBigUint64(1, BigInt(seq))
  out.set(bytes, 9)
  return out
}

function readSeq(frame: Uint8Array): number {
  const seq = view(frame).getBigUint64(1)
  if (seq > BigInt(Number.MAX_SAFE_INTEGER)) throw new MalformedError('sequence number too large')
  return Number(seq)
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.byteLength + b.byteLength)
  out.set(a)
  out.set(b, a.byteLength)
  return out
}

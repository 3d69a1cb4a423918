import type { PtySize } from '../../../crdt/session.ts'
import {
  INPUT_BYTES_MAX,
  VIEWER_WINDOW_BYTES,
  decodeHostFrame,
  encodeViewerFrame,
  type ViewerFrame,
} from '../../../protocols/session-stream.ts'
import type { FramePipe } from '../../ports/session-host.ts'
import type { SessionOutput, SessionViewer } from './session-service.ts'

/** Acknowledgements are held back up to here: far from stalling the host, and few frames. */
const ACKNOWLEDGE_EVERY_BYTES = VIEWER_WINDOW_BYTES / 8

/**
 * A viewer at the other end of a pipe to a session host, near or far. Whatever happens to the pipe is told as the last
 * item of `output`; input and resizing after that have no effect and do not fail.
 */
export function createViewer(
  pipe: FramePipe,
  { fromSeq, signal }: { fromSeq?: number; signal: AbortSignal },
): SessionViewer {
  let closed = false

  const close = (): void => {
    if (closed) return
    closed = true
    signal.removeEventListener('abort', close)
    // A pipe's close never rejects.
    void pipe.close()
  }
  const send = async (frame: ViewerFrame): Promise<void> => {
    if (closed) return
    try {
      await pipe.send(encodeViewerFrame(frame))
    } catch (error) {
      pipe.abort(error instanceof Error ? error : new Error('the pipe broke', { cause: error }))
    }
  }
  const consumed = countConsumed((seq) => void send({ type: 'ack', seq }))
  async function* output(): AsyncGenerator<SessionOutput> {
    try {
      for await (const frame of pipe.frames) {
        const item = itemOf(frame)
        if (!item) continue
        consumed.received(item)
        yield item
        // Nothing is sent beyond a gap before it is known to have been seen.
        if (item.type === 'gap') consumed.acknowledge(item.to, 0)
        if (item.type === 'exit' || item.type === 'end') return
      }
    } catch (error) {
      pipe.abort(error instanceof Error ? error : new Error('the pipe broke', { cause: error }))
    } finally {
      close()
    }
    if (!signal.aborted) yield { type: 'end', reason: 'offline' }
  }

  signal.addEventListener('abort', close, { once: true })
  if (signal.aborted) close()
  void send(fromSeq === undefined ? { type: 'attach' } : { type: 'attach', fromSeq })
  return {
    output: output(),
    acknowledge: (seq) => consumed.acknowledge(seq, ACKNOWLEDGE_EVERY_BYTES),
    async input(data) {
      for (let at = 0; at < data.byteLength; at += INPUT_BYTES_MAX)
        await send({ type: 'input', id: 0, bytes: data.subarray(at, at + INPUT_BYTES_MAX) })
    },
    resize: async (size: PtySize) => await send({ type: 'resize', id: 0, size: { cols: size.cols, rows: size.rows } }),
    close,
  }
}

/** How far a viewer is; `tell` is called for what is worth a frame. */
function countConsumed(tell: (seq: number) => void) {
  let received = 0
  let acknowledged = 0
  let told = 0
  return {
    received(item: SessionOutput): void {
      if (item.type === 'output') received = item.seq + item.bytes.byteLength
      if (item.type === 'gap') received = item.to
    },
    acknowledge(seq: number, everyBytes: number): void {
      if (seq <= acknowledged || seq > received) return
      acknowledged = seq
      if (acknowledged - told < everyBytes) return
      told = acknowledged
      tell(seq)
    },
  }
}

/** What a frame means to a viewer; answers and states mean nothing to it. */
function itemOf(bytes: Uint8Array): SessionOutput | undefined {
  const frame = decodeHostFrame(bytes)
  if (frame.type === 'reply' || frame.type === 'state') return undefined
  if (frame.type !== 'end') return frame
  return { type: 'end', reason: frame.reason === 'slow' ? 'slow' : 'offline' }
}

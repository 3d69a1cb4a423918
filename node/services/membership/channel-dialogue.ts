import type { Clock } from '../../ports/clock.ts'
import type { Channel } from '../../ports/peer-network.ts'

export type Deadline = {
  readonly clock: Pick<Clock, 'after'>
  readonly channel: Channel
  readonly deadlineMs: number
  readonly signal?: AbortSignal
}

/** Runs `work` on a channel and aborts the channel when it takes too long or `signal` says so. */
export async function withDeadline<T>(
  { clock, channel, deadlineMs, signal }: Deadline,
  work: () => Promise<T>,
): Promise<T> {
  const give = (): void => channel.abort(new Error('cancelled'))
  signal?.addEventListener('abort', give, { once: true })
  const cancel = clock.after(deadlineMs, () => channel.abort(new Error(`not done within ${deadlineMs} ms`)))
  try {
    signal?.throwIfAborted()
    return await work()
  } finally {
    cancel()
    signal?.removeEventListener('abort', give)
  }
}

/** Takes frames one by one where question and answer alternate. */
export type FrameReader = {
  /** Rejects when the other side closed instead of answering, or the channel was aborted. */
  next(): Promise<Uint8Array>
}

/** The one reader of the channel's frames. */
export function createFrameReader(channel: Channel): FrameReader {
  const frames = channel.frames[Symbol.asyncIterator]()
  return {
    async next() {
      const { done, value } = await frames.next()
      if (done) throw new Error('the other side closed the channel without an answer')
      return value
    },
  }
}

import type { Stream } from '@libp2p/interface'

export type StreamBound = {
  /** More than this is not read: the stream is aborted, before whoever collects a message has all of it. */
  readonly bytesMax: number
  /** Once this side has sent something so many times the stream carries a connection, of any length. */
  readonly untilSent?: number
}

/**
 * Bounds what the other side may say on a stream that a package of libp2p reads. Those take messages of 4 MB, and to decode
 * one that consists of a million empty parts holds up everything else for many seconds.
 */
export function boundStream(stream: Stream, { bytesMax, untilSent = Infinity }: StreamBound): void {
  let bytes = 0
  let sent = 0
  const onMessage = ({ data }: { readonly data: { readonly byteLength: number } }): void => {
    bytes += data.byteLength
    if (bytes > bytesMax) stream.abort(new Error(`more than ${bytesMax} bytes`))
  }
  stream.addEventListener('message', onMessage)
  const send = stream.send.bind(stream)
  stream.send = (data) => {
    if (++sent === untilSent) stream.removeEventListener('message', onMessage)
    return send(data)
  }
}

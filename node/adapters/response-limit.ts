/** One message: the largest result with room to spare. */
const MESSAGE_BYTES_MAX = 8 * 1024 * 1024
const NEWLINE = 0x0a

/** A `fetch` whose answers fail when one message of theirs is too large: a body, or an event of a stream that goes on. */
export function boundedResponses(ask: typeof fetch): typeof fetch {
  return async (input, init) => {
    const answer = await ask(input, init)
    if (answer.body === null) return answer
    const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true
    const { status, statusText, headers } = answer
    return new Response(answer.body.pipeThrough(limiter(isStream)), { status, statusText, headers })
  }
}

/** Events end with an empty line; returns are no part of the count of what an event may hold. */
function limiter(isStream: boolean): TransformStream<Uint8Array, Uint8Array> {
  let size = 0
  let isLineEmpty = true
  return new TransformStream({
    transform(chunk, controller) {
      for (const byte of chunk) {
        size++
        if (!isStream) continue
        if (byte === NEWLINE) {
          if (isLineEmpty) size = 0
          isLineEmpty = true
        } else if (byte !== 0x0d) isLineEmpty = false
      }
      if (size > MESSAGE_BYTES_MAX)
        controller.error(new Error(`The server sent a message of more than ${MESSAGE_BYTES_MAX / 1024 / 1024} MB.`))
      else controller.enqueue(chunk)
    },
  })
}

/** Longer lines are given in pieces: no record that tells of usage comes near it. */
export const LINE_BYTES_MAX = 1024 * 1024

export type LinePiece = {
  /** Without the line's end. */
  readonly bytes: Uint8Array
  /** First and last piece of its line: the whole line. */
  readonly isWhole: boolean
  /** Its line has ended. */
  readonly isLast: boolean
}

export type LineSplitter = {
  take(chunk: Uint8Array): LinePiece[]
  /** What came after the last line's end. */
  rest(): LinePiece[]
}

/** Cuts a stream of bytes at its newlines; holds one piece at most. No byte but the newlines is lost. */
export function createLineSplitter(bytesMax: number = LINE_BYTES_MAX): LineSplitter {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let isFirst = true

  const give = (isLast: boolean): LinePiece => {
    const piece = { bytes: Buffer.concat(held), isWhole: isFirst && isLast, isLast }
    held = []
    heldBytes = 0
    isFirst = isLast
    return piece
  }
  const hold = (bytes: Uint8Array): void => {
    // A copy: whoever gave the chunk may use its memory again.
    held.push(bytes.slice())
    heldBytes += bytes.byteLength
  }
  return {
    take(chunk) {
      const pieces: LinePiece[] = []
      for (let at = 0; at < chunk.byteLength;) {
        const end = chunk.indexOf(10, at)
        const stop = Math.min(end === -1 ? chunk.byteLength : end, at + bytesMax - heldBytes)
        hold(chunk.subarray(at, stop))
        at = stop
        if (at === end) {
          pieces.push(give(true))
          at++
        } else if (heldBytes >= bytesMax) pieces.push(give(false))
      }
      return pieces
    },
    rest: () => (heldBytes > 0 ? [give(true)] : []),
  }
}

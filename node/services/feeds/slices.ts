import { WAITING_BYTES_PER_AUTHOR_MAX } from './waiting-room.ts'

/** Envelopes checked and stored in one go: one sync for all, some ten ms of signatures. */
const SLICE = 128

/** A slice goes through the waiting room: it must not push out its own beginning. */
const SLICE_BYTES = WAITING_BYTES_PER_AUTHOR_MAX / 4

/** Received envelopes in portions that are worth a synced write and hold nobody up for long. */
export function* slices(envelopes: readonly Uint8Array[]): Generator<readonly Uint8Array[]> {
  let slice: Uint8Array[] = []
  let size = 0
  for (const bytes of envelopes) {
    if (slice.length === SLICE || (slice.length > 0 && size + bytes.byteLength > SLICE_BYTES)) {
      yield slice
      slice = []
      size = 0
    }
    slice.push(bytes)
    size += bytes.byteLength
  }
  if (slice.length > 0) yield slice
}

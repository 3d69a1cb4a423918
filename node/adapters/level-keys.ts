import type { DocId, PeerId } from '../../crdt/ids.ts'

export type Bytes = Uint8Array

/** Kinds of keys: e(nvelope), h(ead), s(napshot), (s)u(mmary), n(ame), r(ecord), f(act). Parts are ended by a zero byte, which no part has. */
export function key(kind: 'e' | 'h' | 's' | 'u' | 'n' | 'r' | 'f', ...parts: (string | Bytes)[]): Bytes {
  const encoder = new TextEncoder()
  const pieces = parts.map((part) => (typeof part === 'string' ? encoder.encode(`${part}\0`) : part))
  const bytes = new Uint8Array(1 + pieces.reduce((sum, piece) => sum + piece.byteLength, 0))
  bytes[0] = kind.charCodeAt(0)
  let at = 1
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.byteLength
  }
  return bytes
}

export const envelopeKey = (doc: DocId, author: PeerId, seq: number): Bytes => key('e', doc, author, number(seq))
/** Behind every sequence number. */
export const AFTER_SEQS = new Uint8Array(8).fill(255)

/** Behind every name of a document. */
export const AFTER_NAMES = Uint8Array.of(255)

/** Fixed width and big-endian, so that the order of keys is the order of numbers. */
export function number(value: number): Bytes {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value))
  return bytes
}

export const readNumber = (bytes: Bytes, offset: number): number =>
  Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(offset))

import { decode } from 'cborg'
import type { LeaseMessage } from '../../protocols/lease/frame.ts'

const TAIL_OF_REQUEST = new TextEncoder().encode('request')

/**
 * The messages of a frame that an honest node wrote, so nothing is checked. Requests, the largest, are left out: their
 * kind is at the end of their encoding, and nobody here looks into them.
 */
export function answersIn(frame: Uint8Array): LeaseMessage[] {
  const messages = decode(frame) as Uint8Array[]
  return messages.filter((bytes) => !isRequest(bytes)).map((bytes) => decode(bytes) as LeaseMessage)
}

function isRequest(bytes: Uint8Array): boolean {
  const start = bytes.length - TAIL_OF_REQUEST.length
  return TAIL_OF_REQUEST.every((byte, i) => bytes[start + i] === byte)
}

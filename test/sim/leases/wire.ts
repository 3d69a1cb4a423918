import { readCbor } from '../../../protocols/cbor-read.ts'
import type { Promised, SealVote } from '../../../protocols/lease/ballot.ts'
import type { LeaseMessage } from '../../../protocols/lease/frame.ts'
import type { Deny, Grant } from '../../../protocols/lease/messages.ts'

/** What a voter says, as far as anybody looks into it here. */
export type Answer =
  | { readonly t: 'grant'; readonly body: Grant }
  | { readonly t: 'promise'; readonly body: Promised }
  | { readonly t: 'seal'; readonly body: SealVote }
  | { readonly t: 'deny'; readonly deny: Deny }
  | { readonly t: 'prove' | 'free' | 'outbid' }

const SIGNED = new Set<LeaseMessage['t']>(['grant', 'promise', 'seal'])
const UNSIGNED = new Set<LeaseMessage['t']>(['prove', 'free', 'outbid'])
const TEXT = new TextDecoder()

/** Answers among the messages of a frame that an honest node wrote, so nothing is checked. */
export function answersIn(frame: Uint8Array): Answer[] {
  const messages = readCbor(frame) as Uint8Array[]
  return messages.flatMap((bytes) => {
    const t = wordOf(bytes)
    if (UNSIGNED.has(t)) return { t } as Answer
    if (t === 'deny') return { t, deny: (readCbor(bytes) as { m: Deny }).m }
    if (!SIGNED.has(t)) return []
    const { m } = readCbor(bytes) as { m: { b: Uint8Array } }
    return { t, body: readCbor(m.b) } as Answer
  })
}

export function answerOf(message: LeaseMessage): Answer | undefined {
  const { t } = message
  if (UNSIGNED.has(t)) return { t } as Answer
  if (t === 'deny') return { t, deny: message.m }
  return SIGNED.has(t) ? ({ t, body: (message.m as { body: unknown }).body } as Answer) : undefined
}

/** The keys of a message are `m` and `t`, in this order, so its word is what it ends with. */
function wordOf(bytes: Uint8Array): LeaseMessage['t'] {
  for (let length = 1; length < 24; length++) {
    const at = bytes.length - length - 1
    if (bytes[at] === 0x60 + length && bytes[at - 1] === 0x74 && bytes[at - 2] === 0x61) {
      return TEXT.decode(bytes.subarray(at + 1)) as LeaseMessage['t']
    }
  }
  throw new TypeError('a message without a word')
}

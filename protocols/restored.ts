import { z } from 'zod'
import { DocId, PeerId } from '../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from './codec.ts'
import type { FeedCut } from './membership/membership.ts'
import { HEARTBEAT_BYTES_MAX } from './presence.ts'

/*
 * A node whose disk may be older than what it has signed asks every member what that has of it, before it signs anything
 * that has a place in an order. One question a channel, answered in parts.
 *
 *   question  of the node about itself
 *   answer    where its feeds end at the member, the members that this one knows of, and heartbeats of the node that the
 *             member has heard a short while ago: one that the asking process did not send is of another copy of it
 */

export const RESTORED_PROTOCOL = '/rookery/restored/1'
export const RESTORED_FRAME_BYTES_MAX = 512 * 1024

/** About 130 bytes each. */
const HEADS_PER_PART = 2000
/** Of the process that asks and of another one. */
const BEATS_MAX = 2
const MEMBERS_MAX = 4096
const PARTS_MAX = 64

const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array)
const hash = bytes.refine((value) => value.byteLength === 32, 'must be 32 bytes')

const Question = z.object({ v: z.int().min(1), t: z.literal('question') })
const Part = z.object({
  v: z.int().min(1),
  t: z.literal('answer'),
  heads: z.array(z.tuple([DocId, z.int().min(1), hash])).max(HEADS_PER_PART),
  members: z.array(PeerId).max(MEMBERS_MAX),
  beats: z.array(bytes.refine((beat) => beat.byteLength <= HEARTBEAT_BYTES_MAX)).max(BEATS_MAX),
  last: z.boolean(),
})

export type RestoredAnswer = {
  readonly heads: ReadonlyMap<DocId, FeedCut>
  readonly members: readonly PeerId[]
  readonly beats: readonly Uint8Array[]
}

export const encodeQuestion = (): Uint8Array => encodeCanonical({ v: 1, t: 'question' })

/** @throws MalformedError */
export const checkQuestion = (frame: Uint8Array): void => void decodeCanonical(Question, frame, 1024)

/** At least one frame. */
export function encodeAnswer({ heads, members, beats }: RestoredAnswer): Uint8Array[] {
  const places = [...heads].map(([doc, head]) => [doc, head.seq, head.hash] as const)
  const parts: Uint8Array[] = []
  do {
    const isFirst = parts.length === 0
    const some = places.splice(0, HEADS_PER_PART)
    const first = isFirst ? { members: members.slice(0, MEMBERS_MAX), beats } : { members: [], beats: [] }
    parts.push(encodeCanonical({ v: 1, t: 'answer', heads: some, ...first, last: places.length === 0 }))
  } while (places.length > 0)
  return parts
}

/** Reads frames until the last part. Undefined when they end before. @throws MalformedError */
export async function decodeAnswer(frames: AsyncIterable<Uint8Array>): Promise<RestoredAnswer | undefined> {
  const heads = new Map<DocId, FeedCut>()
  const members: PeerId[] = []
  const beats: Uint8Array[] = []
  let parts = 0
  for await (const frame of frames) {
    const part = decodeCanonical(Part, frame, RESTORED_FRAME_BYTES_MAX)
    for (const [doc, seq, hash] of part.heads) heads.set(doc, { seq, hash })
    members.push(...part.members)
    beats.push(...part.beats)
    if (part.last) return { heads, members, beats }
    if (++parts === PARTS_MAX) return undefined
  }
  return undefined
}

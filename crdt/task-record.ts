import { z } from 'zod'
import { InstanceId, TaskId } from './ids.ts'
import { PRIORITIES } from './task.ts'

/*
 * How tasks lie in a `project/<id>` document:
 *   map   `tasks`          <task id> → TaskBody, written once by the creator
 *   map   `edits`          <task id>/<field> → value; one key per field, so concurrent edits of two fields both survive
 *   map   `deleted`        <task id> → when; nothing brings a deleted task back
 *   array `claims/<peer>`  ClaimRecord, written by that peer alone, at most one per task
 *   map   `completions`    <task id>/<peer> → Completion, written by that peer alone
 * Claims are owner-written arrays because they turn over all the time: 100,000 overwrites spread over 1,000 keys of a
 * map leave 100,000 structs behind, in an array that drops its own old entries they leave a handful.
 * What is written in the place of a peer and not by it is passed over.
 */

/** Bodies, edits and completions beyond this would not fit an envelope with the rest of its batch. */
export const TASK_BYTES_MAX = 128 * 1024
/** A certificate of 63 voters with one resource is a third of this. */
export const CERTIFICATE_BYTES_MAX = 64 * 1024
/** Given-back claims that an author keeps for their reasons; older ones have been told everywhere or do not matter. */
export const RELEASED_KEPT_MAX = 200

const isoTime = z.iso.datetime()
const fields = {
  title: z.string().min(1).max(500),
  description: z.string().max(50_000),
  priority: z.enum(PRIORITIES),
  files: z.array(z.string().min(1).max(1024)).max(500),
  dependencies: z.array(TaskId).max(100),
  estimated_tokens: z.int().min(0).max(1_000_000_000).nullable(),
}

/** Unknown properties are dropped, not refused: a newer release may add some. */
export const TaskBody = z.object({ ...fields, created_at: isoTime, created_by: z.string().min(1).max(128) })
export type TaskBody = z.infer<typeof TaskBody>

export const TaskFields = z.object(fields)
export type TaskFields = z.infer<typeof TaskFields>
export type TaskField = keyof TaskFields
export const TASK_FIELDS = Object.keys(fields).map((name) => TaskFields.keyof().parse(name))

const certificate = z.custom<Uint8Array>((v) => v instanceof Uint8Array && v.byteLength <= CERTIFICATE_BYTES_MAX)

const claim = {
  task: TaskId,
  /** Fencing token of the lease, as a number. */
  token: z.int().min(0),
  lease: z.string().regex(/^[0-9a-f]{32}$/),
  instance: InstanceId,
  at: isoTime,
}

export const ClaimedRecord = z.object({
  ...claim,
  state: z.literal('claimed'),
  tokenId: z.string().min(1).max(128),
  /** Proves that the lease was granted to the author; kept only while the claim stands, and where an end needs it. */
  certificate,
})
export type ClaimedRecord = z.infer<typeof ClaimedRecord>

/** As in `Completion`. */
const proof = { certificate: certificate.exactOptional() }

export const ReleasedRecord = z.object({
  ...claim,
  ...proof,
  state: z.literal('released'),
  reason: z.string().max(2000),
})
export type ReleasedRecord = z.infer<typeof ReleasedRecord>

export const ClaimRecord = z.discriminatedUnion('state', [ClaimedRecord, ReleasedRecord])
export type ClaimRecord = z.infer<typeof ClaimRecord>

/**
 * Ends the author's own claim under this lease; claims of others with a lower token only with the certificate of that
 * token. It is written where others have said something of the task: of most tasks nobody has, and they stay small.
 */
export const Completion = z.object({
  ...proof,
  token: claim.token,
  lease: claim.lease,
  instance: InstanceId,
  at: isoTime,
  summary: z.string().max(50_000),
  files_modified: z.array(z.string().min(1).max(1024)).max(500),
})
export type Completion = z.infer<typeof Completion>

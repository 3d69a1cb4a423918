import { z } from 'zod'
import type { RecordFormat } from '../../ports/session-host.ts'
import { createLineSplitter, type LinePiece } from './line-splitter.ts'
import { NOTHING_READ, readRecord, type Reading } from './usage-reading.ts'

const Kind = z.object({ type: z.string().min(1).max(64) })

/** One line of output, or a piece of one that is too long; as it was, without its end. */
export type AgentLine = {
  readonly bytes: Uint8Array
  readonly isLast: boolean
  /** What the agent calls the record; null where it is none. */
  readonly kind: string | null
}

export type RecordStream = {
  take(chunk: Uint8Array): AgentLine[]
  /** At the end: what came without a line's end. */
  rest(): AgentLine[]
  reading(): Reading
}

/** Reads the standard output of an agent that prints one JSON record a line, beside whatever else it prints. */
export function createRecordStream(format: RecordFormat): RecordStream {
  const splitter = createLineSplitter()
  let reading = NOTHING_READ
  const lineOf = ({ bytes, isWhole, isLast }: LinePiece): AgentLine => {
    const record = isWhole ? parse(bytes) : undefined
    reading = readRecord(format, reading, record)
    return { bytes, isLast, kind: Kind.safeParse(record).data?.type ?? null }
  }
  return {
    take: (chunk) => splitter.take(chunk).map((piece) => lineOf(piece)),
    rest: () => splitter.rest().map((piece) => lineOf(piece)),
    reading: () => reading,
  }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined // a warning, or anything else that a program prints
  }
}

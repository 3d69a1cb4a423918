import { createWriteStream, type WriteStream } from 'node:fs'
import { once } from 'node:events'

/** What an agent asked for. */
export type OperationKind =
  | 'lock'
  | 'lock_directory'
  | 'lock_bulk'
  | 'lock_extend'
  | 'lock_release'
  | 'task_create'
  | 'task_claim'
  | 'task_complete'
  | 'task_release'

/**
 * How it came out, as far as the agent knows. `unavailable`: too few voters answered; `unknown`: no answer, or an error
 * that does not say whether it was done.
 */
export type Outcome = 'done' | 'refused' | 'unavailable' | 'unknown'

/** A lease that an answer says is the agent's. */
export type Possession = {
  /** The things it covers, each of which has one holder at a time: a directory is all files in it. */
  readonly leaves: readonly string[]
  readonly token: number
  /** Only what a quorum has certified excludes others. */
  readonly isCertified: boolean
}

/** One line of the history. All times are of one clock, in milliseconds. */
export type HistoryEntry = {
  readonly kind: OperationKind
  readonly agent: string
  readonly node: string
  /** The leaves it was about. */
  readonly about: readonly string[]
  readonly invokedMs: number
  readonly answeredMs: number
  readonly outcome: Outcome
  readonly status?: number
  readonly code?: string
  /** What the agent holds by this answer. */
  readonly holds: readonly Possession[]
  /** What it no longer uses from the moment it asked, whatever comes of it. */
  readonly gaveUp: readonly string[]
}

/** Every operation, in memory for the checks and in a file for whoever looks into a violation. */
export class HistoryLog {
  readonly entries: HistoryEntry[] = []
  readonly #file: WriteStream

  constructor(path: string) {
    this.#file = createWriteStream(path)
  }

  add(entry: HistoryEntry): void {
    this.entries.push(entry)
    this.#file.write(`${JSON.stringify(entry)}\n`)
  }

  /** A line about a fault, for whoever reads the file. */
  remark(text: string): void {
    this.#file.write(`${JSON.stringify({ atMs: performance.now(), fault: text })}\n`)
  }

  async close(): Promise<void> {
    this.#file.end()
    await once(this.#file, 'close')
  }
}

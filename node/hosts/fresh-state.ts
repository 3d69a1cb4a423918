import type { PtySize } from '../../crdt/session.ts'
import type { ProgramState } from '../../protocols/session-stream.ts'

/** Of a program that begins now. */
export const freshState = (size: PtySize): ProgramState => ({
  status: 'running',
  size,
  startedAtMs: Date.now(),
  endedAtMs: null,
  exitCode: null,
  signal: null,
  killed: false,
  problem: null,
  waiting: false,
  usage: null,
})

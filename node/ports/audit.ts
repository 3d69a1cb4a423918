import type { Actor } from '../../crdt/actor.ts'
import type { PeerId } from '../../crdt/ids.ts'

export type AuditEntry = {
  /** What was asked, like `session.create`. */
  readonly action: string
  readonly actor: Actor
  /** The member whose node asked; our own peer id for what came through this node's gateway or socket. */
  readonly from: PeerId
  readonly outcome: 'allowed' | 'denied'
}

/** Who had what done on this machine, written before it is done. */
export type Audit = {
  /** Resolves when the entry is in the log; rejects when it cannot be written: then it must not be done. */
  record(entry: AuditEntry): Promise<void>
  close(): Promise<void>
}

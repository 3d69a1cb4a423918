import { readSessions } from '../../../crdt/machine-document.ts'
import { hasEnded, type Session } from '../../../crdt/session.ts'
import { watchMachineRecords, type MachineRecords } from '../machine-records.ts'
import type { SessionServiceDeps } from './session-deps.ts'

/** Every session of the mesh as this node knows it, in memory. */
export type SessionDirectory = MachineRecords<Session>

type Deps = Pick<SessionServiceDeps, 'documents' | 'membership' | 'events' | 'log'>

/** Follows the sessions of all members and tells of changes as domain events, whichever machine they happened on. */
export function watchSessions({ events, ...deps }: Deps): Promise<SessionDirectory> {
  const tell = (before: Session | undefined, session: Session): void => {
    const sessionId = session.id
    if (!before) events.publish({ type: 'session.created', sessionId, session })
    if (hasEnded(session.status) && !(before && hasEnded(before.status)))
      events.publish({ type: 'session.ended', sessionId, session })
    else if (before) events.publish({ type: 'session.updated', sessionId, session })
  }
  return watchMachineRecords({ ...deps, read: readSessions, tell })
}

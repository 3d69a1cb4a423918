import type * as Y from 'yjs'
import type { MachineId, PeerId } from '../../../crdt/ids.ts'
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
  const read = (state: Y.Doc, owner: { peer: PeerId; machineId: MachineId }): readonly Session[] => {
    const sessions = readSessions(state, owner)
    if (deps.membership.current().members.get(owner.peer)?.capabilities.has('gateway')) return sessions
    // Only a gateway bridges machines; of another member nobody believes that it does.
    return sessions.filter(({ machineId }) => machineId === owner.machineId)
  }
  return watchMachineRecords({ ...deps, read, tell })
}

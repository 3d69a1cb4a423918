import type * as Y from 'yjs'
import { machineDoc, SessionId, type PeerId } from '../../../crdt/ids.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { readSessions } from '../../../crdt/machine-document.ts'
import { hasEnded, type Session } from '../../../crdt/session.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { SessionServiceDeps } from './session-deps.ts'

/** Every session of the mesh as this node knows it, in memory. */
export type SessionDirectory = {
  all(): readonly Session[]
  find(id: string): Session | undefined
  /** Looks again at once, when a machine is known to have written. */
  refresh(peer: PeerId): void
  close(): void
}

type Deps = Pick<SessionServiceDeps, 'documents' | 'membership' | 'events' | 'log'>

/**
 * Follows the documents of all members and tells of changes as domain events, whichever machine they happened on. What
 * is there at the start is no news.
 */
export async function watchSessions(deps: Deps): Promise<SessionDirectory> {
  const directory = new Directory(deps)
  await directory.start()
  return directory
}

class Directory implements SessionDirectory {
  readonly #deps: Deps
  readonly #ofMachine = new Map<PeerId, ReadonlyMap<SessionId, Session>>()
  readonly #opened = new Map<PeerId, Cancel>()
  readonly #ready = new Set<PeerId>()
  #stopFollowing: Cancel = () => undefined
  #isStarted = false
  #isClosed = false

  constructor(deps: Deps) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    const { membership, log } = this.#deps
    this.#stopFollowing = membership.onChange(() => {
      this.#followMembers().catch((error: unknown) => log.error({ err: error }, 'sessions of a member cannot be read'))
    })
    await this.#followMembers()
    this.#isStarted = true
  }

  all(): readonly Session[] {
    return [...this.#ofMachine.values()].flatMap((sessions) => [...sessions.values()])
  }

  find(id: string): Session | undefined {
    const parsed = SessionId.safeParse(id)
    if (!parsed.success) return undefined
    for (const sessions of this.#ofMachine.values()) {
      const session = sessions.get(parsed.data)
      if (session) return session
    }
    return undefined
  }

  refresh(peer: PeerId): void {
    if (this.#ready.has(peer)) this.#deps.documents.readOpen(machineDoc(peer), (state) => this.#look(peer, state))
  }

  close(): void {
    this.#isClosed = true
    this.#stopFollowing()
    for (const cancel of this.#opened.values()) cancel()
    this.#opened.clear()
    this.#ready.clear()
  }

  async #followMembers(): Promise<void> {
    const { members } = this.#deps.membership.current()
    for (const [peer, cancel] of this.#opened) {
      if (members.has(peer)) continue
      cancel()
      this.#opened.delete(peer)
      this.#ready.delete(peer)
      this.#ofMachine.delete(peer)
    }
    await Promise.all([...members.keys()].map((peer) => this.#follow(peer)))
  }

  async #follow(peer: PeerId): Promise<void> {
    if (this.#opened.has(peer) || this.#isClosed) return
    let isWanted = true
    this.#opened.set(peer, () => (isWanted = false))
    const { documents } = this.#deps
    const unpin = await documents.open(machineDoc(peer), (_, state) => this.#look(peer, state))
    if (!isWanted || this.#isClosed) return unpin()
    this.#opened.set(peer, unpin)
    this.#ready.add(peer)
    this.refresh(peer)
  }

  #look(peer: PeerId, state: Y.Doc): void {
    const before = this.#ofMachine.get(peer)
    const sessions = readSessions(state, { peer, machineId: machineIdOf(peer) })
    this.#ofMachine.set(peer, new Map(sessions.map((session) => [session.id, session])))
    if (!this.#isStarted) return
    for (const session of sessions) this.#tell(before?.get(session.id), session)
  }

  #tell(before: Session | undefined, session: Session): void {
    const { events } = this.#deps
    const sessionId = session.id
    if (JSON.stringify(before) === JSON.stringify(session)) return
    if (!before) events.publish({ type: 'session.created', sessionId, session })
    if (hasEnded(session.status) && !(before && hasEnded(before.status)))
      events.publish({ type: 'session.ended', sessionId, session })
    else if (before) events.publish({ type: 'session.updated', sessionId, session })
  }
}

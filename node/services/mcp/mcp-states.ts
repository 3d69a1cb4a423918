import { machineDoc, type PeerId } from '../../../crdt/ids.ts'
import type { McpState } from '../../../crdt/mcp.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import { readMcpStates, writeMcpStates } from '../../../crdt/machine-document.ts'
import type { Cancel } from '../../ports/clock.ts'
import { writtenIfMember } from '../written.ts'
import type { McpDeps } from './mcp-deps.ts'

/** A server that crashes again and again is published at most so often. */
const PUBLISH_EVERY_MS = 250

type Deps = Pick<McpDeps, 'self' | 'documents' | 'membership' | 'events' | 'clock' | 'log'>

export type Publisher = {
  /** Soon makes this machine's document say what its servers do. */
  changed(): void
  /** Resolves when nothing is written any more. */
  stop(): Promise<void>
}

/** The machine's own document must be open. */
export function publishStates(deps: Deps, states: () => ReadonlyMap<string, McpState>): Publisher {
  const { documents, self, clock, log } = deps
  let later: Cancel | undefined
  let writing: Promise<void> = Promise.resolve()
  let isStopped = false
  const publish = async (): Promise<void> => {
    later = undefined
    const now = states()
    await writtenIfMember(documents.write(machineDoc(self), undefined, (state) => writeMcpStates(state, now)))
  }
  const changed = (): void => {
    if (isStopped) return
    later ??= clock.after(PUBLISH_EVERY_MS, () => {
      writing = publish().catch((error: unknown) =>
        log.error({ err: error }, 'what MCP servers do could not be written'),
      )
    })
  }
  return {
    changed,
    async stop() {
      isStopped = true
      later?.()
      await writing
    },
  }
}

/** Tells of every member's servers as domain events, whichever machine they run on. What is there at the start is no news. */
export async function followStates({ documents, membership, events, log }: Deps): Promise<Cancel> {
  const known = new Map<PeerId, ReadonlyMap<string, McpState>>()
  const opened = new Map<PeerId, Cancel>()
  let isClosed = false
  let isStarted = false

  const look = (peer: PeerId, states: ReadonlyMap<string, McpState>): void => {
    const before = known.get(peer) ?? new Map<string, McpState>()
    known.set(peer, states)
    if (!isStarted) return
    const machineId = machineIdOf(peer)
    for (const [name, state] of states)
      if (JSON.stringify(before.get(name)) !== JSON.stringify(state))
        events.publish({ type: 'mcp.changed', machineId, name, state })
    for (const [name, { id, transport, lastStartedAt }] of before)
      if (!states.has(name))
        events.publish({
          type: 'mcp.changed',
          machineId,
          name,
          state: { id, transport, lastStartedAt, status: 'stopped', toolsCount: 0 },
        })
  }
  const follow = async (peer: PeerId): Promise<void> => {
    if (opened.has(peer) || isClosed) return
    let isWanted = true
    opened.set(peer, () => (isWanted = false))
    const doc = machineDoc(peer)
    const unpin = await documents.open(doc, (_, state) => look(peer, readMcpStates(state)))
    if (!isWanted || isClosed) return unpin()
    opened.set(peer, unpin)
    documents.readOpen(doc, (state) => look(peer, readMcpStates(state)))
  }
  const followMembers = async (): Promise<void> => {
    const { members } = membership.current()
    for (const [peer, cancel] of opened) {
      if (members.has(peer)) continue
      cancel()
      opened.delete(peer)
      known.delete(peer)
    }
    await Promise.all([...members.keys()].map(follow))
  }
  const stopFollowing = membership.onChange(() => {
    followMembers().catch((error: unknown) => log.error({ err: error }, 'MCP servers of a member cannot be read'))
  })
  await followMembers()
  isStarted = true
  return () => {
    isClosed = true
    stopFollowing()
    for (const cancel of opened.values()) cancel()
  }
}

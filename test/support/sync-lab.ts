import { PeerId } from '../../crdt/ids.ts'
import { every } from '../../node/ports/clock.ts'
import type { PresenceLink } from '../../node/services/sync/presence-service.ts'
import type { MembershipLog, SyncDeps } from '../../node/services/sync/sync-deps.ts'
import { createSync, type SyncService } from '../../node/services/sync/sync-service.ts'
import { createManualClock, settle, type ManualClock } from './clock.ts'
import { createSeededRandom } from './identity.ts'
import { createMemoryNetwork, type MemoryNetwork } from './memory-network.ts'
import { createMembership, createTestReplica, type TestMembership, type TestReplica } from './replicas.ts'
import type { PeerNetwork } from '../../node/ports/peer-network.ts'

/** A membership log whose records are single bytes without an order: what one side lacks is plain to see. */
export function createRecordLog(): MembershipLog & { add(...records: number[]): void; all(): number[] } {
  const records = new Set<number>()
  const listeners = new Set<() => void>()
  const head = (record: number): Uint8Array => new Uint8Array(32).fill(record)
  const add = (...added: number[]): void => {
    const before = records.size
    for (const record of added) records.add(record)
    if (records.size > before) for (const listener of listeners) listener()
  }
  return {
    add,
    all: () => [...records].toSorted((a, b) => a - b),
    heads: () => [...records].map(head),
    after: (heads) =>
      [...records].filter((r) => !heads.some((known) => known[0] === r)).map((r) => new Uint8Array([r])),
    async receive(received) {
      add(...received.map(([record = 0]) => record))
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}

export type SyncNode = TestReplica & {
  readonly sync: SyncService
  readonly port: PeerNetwork
  readonly records: ReturnType<typeof createRecordLog>
}

export type SyncLab = {
  readonly network: MemoryNetwork
  readonly membership: TestMembership
  readonly time: ManualClock
  node(n: number, extra?: Partial<SyncDeps>): Promise<SyncNode>
  connect(a: PeerId, b: PeerId): Promise<void>
  /** Lets everything happen that needs no time; documents write in several steps. */
  quiet(): Promise<void>
}

/** Heartbeats that say nothing, every five seconds, and who has heard whose. */
export function createPulse(clock: ManualClock, of: PeerId): PresenceLink & { readonly heard: Set<PeerId> } {
  const heard = new Set<PeerId>()
  let counter = 0
  const beat = (): Uint8Array => new TextEncoder().encode(`${of} ${++counter}`)
  return {
    heard,
    greeting: () => undefined,
    onBeat: (listener) => every(clock, 5000, () => listener(beat())),
    receive(bytes) {
      const [from = '', n] = new TextDecoder().decode(bytes).split(' ')
      const peer = PeerId.parse(from)
      heard.add(peer)
      return { peer, boot: 1, counter: Number(n) }
    },
    echoed: () => undefined,
  }
}

/** Nodes with real documents over the memory network, on one clock that stands still. */
export function createSyncLab(members: number): SyncLab {
  const network = createMemoryNetwork()
  const membership = createMembership(members)
  const time = createManualClock()
  const quiet = async (): Promise<void> => {
    for (let i = 0; i < 25; i++) await settle()
  }
  return {
    network,
    membership,
    time,
    quiet,
    async node(n, extra = {}) {
      const replica = await createTestReplica(n, membership)
      const port = network.join(replica.peer)
      const records = createRecordLog()
      const sync = createSync({
        network: port,
        feeds: replica.documents,
        membership: records,
        clock: time,
        random: createSeededRandom(n),
        log: replica.log,
        passesOn: () => false,
        ...extra,
      })
      sync.start()
      return { ...replica, sync, port, records }
    },
    async connect(a, b) {
      network.connect(a, b)
      await quiet()
    },
  }
}

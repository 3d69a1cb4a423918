import type * as Y from 'yjs'
import { isLaterBridge, readBridges, type BridgeRecord } from '../../../crdt/bridge-records.ts'
import { machineDoc, meshDoc, type MachineId, type PeerId } from '../../../crdt/ids.ts'
import { readSessions } from '../../../crdt/machine-document.ts'
import { machineIdOf } from '../../../crdt/machine-id.ts'
import type { Machine, MachineFacts, MachineStatus } from '../../../crdt/machine.ts'
import { readBridged, type BridgedRecord } from '../../../crdt/mesh-document.ts'
import { hasEnded } from '../../../crdt/session.ts'
import type { Member } from '../../../protocols/membership/membership.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Documents } from '../feeds/documents.ts'
import type { EventHub } from '../event-hub.ts'
import { statedFacts, UNKNOWN_SINCE, unknownFacts } from './machine-facts.ts'
import type { Presence, PresenceState } from '../sync/presence.ts'
import type { MembershipSource } from '../accounts/sealed-accounts.ts'

export type MachineDirectoryDeps = {
  readonly self: PeerId
  readonly documents: Documents
  readonly membership: MembershipSource
  readonly presence: Presence
  readonly events: EventHub
  readonly clock: Clock
}

/** Every machine of the mesh as this node knows it, in memory. Tells of changes as `machine.changed`. */
export type MachineDirectory = {
  all(): readonly Machine[]
  find(id: string): Machine | undefined
  /** What a member's machine calls itself, once it has said so. */
  nameOf(peer: PeerId): string | undefined
  /** Whether a member's machine says that it is always on. */
  isAlwaysOn(peer: PeerId): boolean
  /** The latest connection of the agent of a machine without a node, whichever gateway has it. */
  bridgeOf(id: MachineId): Bridge | undefined
  /** Looks again at bridged machines, after a write of our own. */
  refresh(): void
  stop(): void
}

/** A gateway, and what it says of the agent's connection. */
export type Bridge = BridgeRecord & { readonly peer: PeerId }

export async function watchMachines(deps: MachineDirectoryDeps): Promise<MachineDirectory> {
  const directory = new Directory(deps)
  await directory.start()
  return directory
}

type Stated = MachineFacts & {
  readonly createdAt: string
  /** Sessions that run, by the machine they run on: its own, and those that it bridges. */
  readonly activeSessions: ReadonlyMap<MachineId, number>
  readonly bridges: ReadonlyMap<MachineId, BridgeRecord>
}

/** A member whose heartbeats have just stopped may be coming back: that is neither online nor offline. */
const STATUS: Readonly<Record<PresenceState, MachineStatus>> = {
  online: 'online',
  stale: 'connecting',
  away: 'offline',
  gone: 'offline',
}

class Directory implements MachineDirectory {
  readonly #deps: MachineDirectoryDeps
  /** What each member has stated, by the latest look at its document. */
  readonly #stated = new Map<PeerId, Stated>()
  readonly #opened = new Map<PeerId, Cancel>()
  readonly #onlineSinceMs = new Map<PeerId, number>()
  #bridged: ReadonlyMap<MachineId, BridgedRecord> = new Map()
  /** What subscribers were last told, to tell of each change once. */
  readonly #told = new Map<MachineId, string>()
  readonly #cancels: Cancel[] = []
  #isStarted = false
  #isStopped = false

  constructor(deps: MachineDirectoryDeps) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    const { documents, membership, presence } = this.#deps
    this.#cancels.push(await documents.open(meshDoc, (_, state) => this.#lookAtBridged(state)))
    documents.readOpen(meshDoc, (state) => this.#lookAtBridged(state))
    this.#cancels.push(membership.onChange(() => void this.#followMembers()))
    this.#cancels.push(presence.onChange(() => this.#tell()))
    await this.#followMembers()
    this.#tell()
    this.#isStarted = true
  }

  all(): readonly Machine[] {
    const members = [...this.#deps.membership.current().members.values()]
    return [
      ...members.map((member) => this.#memberMachine(member)),
      ...[...this.#bridged].map(([id, record]) => this.#bridgedMachine(id, record)),
    ]
  }

  bridgeOf(id: MachineId): Bridge | undefined {
    let latest: Bridge | undefined
    for (const { peer, capabilities } of this.#deps.membership.current().members.values()) {
      const record = capabilities.has('gateway') ? this.#stated.get(peer)?.bridges.get(id) : undefined
      if (record && (!latest || isLaterBridge({ ...record, peer }, latest))) latest = { ...record, peer }
    }
    return latest
  }

  find(id: string): Machine | undefined {
    return this.all().find((machine) => machine.id === id)
  }

  nameOf(peer: PeerId): string | undefined {
    return this.#stated.get(peer)?.name
  }

  isAlwaysOn(peer: PeerId): boolean {
    return this.#stated.get(peer)?.alwaysOn ?? false
  }

  refresh(): void {
    this.#deps.documents.readOpen(meshDoc, (state) => this.#lookAtBridged(state))
  }

  stop(): void {
    this.#isStopped = true
    for (const cancel of [...this.#cancels, ...this.#opened.values()]) cancel()
  }

  /** Opens the documents of new members and lets go of those of former ones. */
  async #followMembers(): Promise<void> {
    const { members } = this.#deps.membership.current()
    for (const [peer, close] of this.#opened) {
      if (members.has(peer)) continue
      close()
      this.#opened.delete(peer)
      this.#stated.delete(peer)
      this.#onlineSinceMs.delete(peer)
    }
    await Promise.all([...members.values()].map((member) => this.#follow(member)))
    this.#tell()
  }

  async #follow({ peer, name }: Member): Promise<void> {
    if (this.#opened.has(peer)) return
    const { documents } = this.#deps
    let isWanted = true
    this.#opened.set(peer, () => (isWanted = false))
    const look = (state: Y.Doc): void => {
      const activeSessions = new Map<MachineId, number>()
      for (const { machineId, status } of readSessions(state, { peer, machineId: machineIdOf(peer) }))
        if (!hasEnded(status)) activeSessions.set(machineId, (activeSessions.get(machineId) ?? 0) + 1)
      this.#stated.set(peer, { ...statedFacts(state, name), activeSessions, bridges: readBridges(state) })
    }
    const close = await documents.open(machineDoc(peer), (_, state) => {
      look(state)
      this.#tell()
    })
    if (!isWanted || this.#isStopped) return close()
    this.#opened.set(peer, close)
    documents.readOpen(machineDoc(peer), look)
  }

  #lookAtBridged(state: Y.Doc): void {
    this.#bridged = readBridged(state)
    this.#tell()
  }

  #memberMachine({ peer, name }: Member): Machine {
    const { self, presence } = this.#deps
    const status = peer === self ? 'online' : STATUS[presence.state(peer)]
    const onlineSince = this.#onlineSinceMs.get(peer)
    const { activeSessions, bridges: _, ...facts } = this.#stated.get(peer) ?? nothingStated(name)
    return {
      ...facts,
      id: machineIdOf(peer),
      node: peer,
      bridge: null,
      activeSessions: activeSessions.get(machineIdOf(peer)) ?? 0,
      status,
      offlineReason: SILENCE[status],
      lastSeenAt: iso(this.#lastSeenMs(peer)),
      connectedAt: status === 'offline' ? null : iso(onlineSince),
    }
  }

  /** It is where its agent is: at a gateway, as reachable as that is. */
  #bridgedMachine(id: MachineId, record: BridgedRecord): Machine {
    const bridge = this.bridgeOf(id)
    const { status, offlineReason } = this.#bridgeStatus(bridge)
    const { maxSessions = record.maxSessions, ...facts } = bridge?.facts ?? {}
    const lastSeenMs = bridge && status === 'online' ? this.#lastSeenMs(bridge.peer) : undefined
    let activeSessions = 0
    for (const stated of this.#stated.values()) activeSessions += stated.activeSessions.get(id) ?? 0
    return {
      ...record,
      ...facts,
      maxSessions: Math.min(record.maxSessions, maxSessions),
      alwaysOn: false,
      id,
      node: null,
      bridge: bridge?.peer ?? null,
      activeSessions,
      status,
      offlineReason,
      // While it was connected its gateway saw it; since then nobody has.
      lastSeenAt: iso(lastSeenMs) ?? bridge?.at ?? null,
      connectedAt: bridge && status === 'online' ? iso(bridge.since) : null,
    }
  }

  #bridgeStatus(bridge: Bridge | undefined): Pick<Machine, 'status' | 'offlineReason'> {
    const { self, presence } = this.#deps
    if (!bridge) return { status: 'offline', offlineReason: 'Its agent has not connected to any gateway yet.' }
    if (bridge.state === 'gone')
      return { status: 'offline', offlineReason: 'Its agent is not connected to any gateway.' }
    const status = bridge.peer === self ? 'online' : STATUS[presence.state(bridge.peer)]
    const gateway = this.nameOf(bridge.peer) ?? bridge.peer
    const unreachable = `The gateway that its agent is connected to (${gateway}) is out of reach.`
    if (status !== 'online') return { status, offlineReason: unreachable }
    if (bridge.state === 'connected') return { status, offlineReason: null }
    return { status: 'connecting', offlineReason: `The connection of its agent to ${gateway} has just broken off.` }
  }

  #lastSeenMs(peer: PeerId): number | undefined {
    const { self, presence, clock } = this.#deps
    return peer === self ? clock.wallMs() : presence.lastSeenWallMs(peer)
  }

  #tell(): void {
    this.#noteConnections()
    const machines = this.all()
    const present = new Set(machines.map(({ id }) => id))
    for (const id of this.#told.keys()) {
      if (present.has(id)) continue
      this.#told.delete(id)
      this.#publish(id)
    }
    for (const { lastSeenAt: _, ...machine } of machines) {
      const shown = JSON.stringify(machine)
      if (this.#told.get(machine.id) === shown) continue
      this.#told.set(machine.id, shown)
      this.#publish(machine.id)
    }
  }

  #noteConnections(): void {
    const { membership, presence, clock, self } = this.#deps
    for (const peer of membership.current().members.keys()) {
      const state = peer === self ? 'online' : presence.state(peer)
      if (STATUS[state] === 'offline') this.#onlineSinceMs.delete(peer)
      else if (!this.#onlineSinceMs.has(peer)) this.#onlineSinceMs.set(peer, clock.wallMs())
    }
  }

  /** What was there when we started is no news. */
  #publish(machineId: MachineId): void {
    if (this.#isStarted) this.#deps.events.publish({ type: 'machine.changed', machineId })
  }
}

const nothingStated = (name: string): Stated => ({
  ...unknownFacts(name),
  createdAt: UNKNOWN_SINCE,
  activeSessions: new Map(),
  bridges: new Map(),
})

const SILENCE: Readonly<Record<MachineStatus, string | null>> = {
  online: null,
  connecting: 'Its heartbeats have just stopped.',
  offline: 'Its node is not heard.',
}

const iso = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString())

import type { Actor } from '../../../crdt/actor.ts'
import {
  deleteBridge,
  isLaterBridge,
  readBridges,
  SINCE_MAX,
  writeBridge,
  type AgentFacts,
  type BridgeRecord,
} from '../../../crdt/bridge-records.ts'
import { domainError } from '../../../crdt/errors.ts'
import { machineDoc, type MachineId, type PeerId, type SessionId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import { hasEnded } from '../../../crdt/session.ts'
import type { AgentReport, BridgedHosts } from '../../ports/agent-link.ts'
import type { Cancel, Clock } from '../../ports/clock.ts'
import type { Log } from '../../ports/log.ts'
import type { EventHub } from '../event-hub.ts'
import type { Documents } from '../feeds/documents.ts'
import type { Machines } from '../machines/machine-service.ts'
import type { SessionService } from '../sessions/session-service.ts'
import { written } from '../written.ts'
import type { AgentConnection, BridgedAgent, BridgeService } from './bridge-service.ts'

/** A connection that breaks off is told to the mesh this much later: most agents are back by then. */
const AWAY_AFTER_MS = 5000
/** How long the machine is shown as one that may come back: as long as its sessions wait for it. */
const GONE_AFTER_MS = 300_000
/** What agents say of their machines is written at most so often: each write stays in the feed. */
const FACTS_EVERY_MS = 60_000
const RETRY_MS = 5000
/** Sessions that ended at other gateways and that the agent has been told to end; more are not remembered. */
const TOLD_MAX = 256

export type BridgeDeps = {
  readonly self: PeerId
  readonly documents: Pick<Documents, 'write' | 'readOpen'>
  readonly machines: Pick<Machines, 'get' | 'bridgeOf'>
  readonly sessions: Pick<SessionService, 'get'>
  readonly hosts: BridgedHosts
  readonly events: Pick<EventHub, 'subscribe'>
  readonly clock: Clock
  readonly log: Log
}

export type RunningBridge = BridgeService & {
  /** Lets go of all agents; their sessions wait for them. */
  stop(): Promise<void>
}

type Held = {
  connection: AgentConnection | undefined
  record: BridgeRecord
  factsAtMs: number
  readonly told: Set<SessionId>
  /** What is to be written of it later. */
  cancelLater: Cancel
  cancelFacts: Cancel
}

/**
 * Which machines' agents are connected to this gateway. Each gateway says so in its own document, and of two that say it
 * the later connection counts: the one before is given up as soon as its gateway hears of it. Whom sessions are asked of
 * follows from the documents alone. The machine's own document must be open.
 */
export function createAgentBridge(deps: BridgeDeps): RunningBridge {
  return new Bridge(deps)
}

class Bridge implements RunningBridge {
  readonly #deps: BridgeDeps
  readonly #held = new Map<MachineId, Held>()
  readonly #stopFollowing: Cancel

  constructor(deps: BridgeDeps) {
    this.#deps = deps
    this.#stopFollowing = deps.events.subscribe((event) => {
      if (event.type === 'machine.changed') this.#look(event.machineId)
    })
    // What an earlier process of this node has left behind.
    const left = deps.documents.readOpen(machineDoc(deps.self), readBridges)
    for (const [machine, record] of left) {
      this.#held.set(machine, held(record))
      if (record.state !== 'gone') this.#become(machine, 'away')
      this.#look(machine)
    }
  }

  async connect(actor: Actor, connection: AgentConnection): Promise<Result<BridgedAgent>> {
    const { machines, hosts, clock } = this.#deps
    if (actor.kind !== 'machine')
      return err(domainError('forbidden', { message: 'Only the token of a machine may connect its agent.' }))
    const machine = await machines.get(actor.id)
    if (!machine.ok) return machine
    const { id, node } = machine.value
    if (node) return err(domainError('forbidden', { message: 'This machine has a node and needs no bridge.' }))
    const before = this.#held.get(id)
    const others = machines.bridgeOf(id)
    const isOurs = before !== undefined && others?.peer === this.#deps.self && before.record.state === 'connected'
    const nowMs = clock.wallMs()
    const since = Math.min(Math.max(nowMs, (others?.since ?? 0) + 1), SINCE_MAX)
    const facts = before?.record.facts ?? others?.facts ?? {}
    const record = isOurs ? before.record : { since, state: 'connected' as const, at: isoTime(nowMs), facts }
    const now: Held = { ...(before ?? held(record)), connection, record, told: new Set() }
    before?.cancelLater()
    this.#held.set(id, now)
    before?.connection?.end('replaced')
    if (!isOurs && !(await this.#write(id, record))) {
      if (this.#held.get(id) === now) this.#held.delete(id)
      return err(domainError('storage_failed'))
    }
    // Another one may have come while this one was written down.
    if (this.#held.get(id) !== now) return err(domainError('superseded'))
    hosts.connect(id, connection)
    return ok(this.#agent(id, now, connection))
  }

  async stop(): Promise<void> {
    this.#stopFollowing()
    const all = [...this.#held]
    this.#held.clear()
    for (const [machine, { connection, cancelLater, cancelFacts, record }] of all) {
      cancelLater()
      cancelFacts()
      if (!connection) continue
      connection.end('stopping')
      await this.#write(machine, { ...record, state: 'away', at: isoTime(this.#deps.clock.wallMs()) })
    }
  }

  #agent(id: MachineId, now: Held, connection: AgentConnection): BridgedAgent {
    const { hosts, clock } = this.#deps
    const isCurrent = (): boolean => this.#held.get(id)?.connection === connection
    return {
      report: (report) => {
        if (isCurrent() && hosts.take(id, report) === 'unknown') void this.#unknown(id, now, report)
      },
      state: (facts) => {
        if (!isCurrent()) return
        hosts.inquire(id)
        this.#state(id, facts)
      },
      gone: () => {
        hosts.disconnect(id, connection)
        if (!isCurrent()) return
        const current = this.#held.get(id)
        if (!current) return
        current.connection = undefined
        current.cancelLater = clock.after(AWAY_AFTER_MS, () => this.#become(id, 'away'))
      },
    }
  }

  /** An agent that goes on with a session that ended at another gateway is told so, once. */
  async #unknown(id: MachineId, { told, connection }: Held, report: AgentReport): Promise<void> {
    if (report.id === undefined || report.type === 'refused' || told.has(report.id) || told.size >= TOLD_MAX) return
    const session = await this.#deps.sessions.get(report.id)
    if (!session.ok || session.value.machineId !== id || !hasEnded(session.value.status)) return
    told.add(report.id)
    connection?.send({ type: 'terminate', id: report.id, force: true })
  }

  #state(id: MachineId, facts: AgentFacts): void {
    const current = this.#held.get(id)
    if (!current || JSON.stringify(current.record.facts) === JSON.stringify(facts)) return
    const nowMs = this.#deps.clock.monoMs()
    current.record = { ...current.record, facts }
    current.cancelFacts()
    const write = (): void => {
      const latest = this.#held.get(id)
      if (!latest) return
      latest.factsAtMs = this.#deps.clock.monoMs()
      void this.#write(id, latest.record)
    }
    const waitMs = current.factsAtMs + FACTS_EVERY_MS - nowMs
    if (waitMs <= 0) write()
    else current.cancelFacts = this.#deps.clock.after(waitMs, write)
  }

  #become(id: MachineId, state: 'away' | 'gone'): void {
    const { clock } = this.#deps
    const current = this.#held.get(id)
    if (!current || current.connection) return
    // That nobody was there in the meantime is known since it broke off.
    const at = state === 'away' ? isoTime(clock.wallMs()) : current.record.at
    current.record = { ...current.record, state, at }
    void this.#write(id, current.record).then((isWritten) => {
      if (this.#held.get(id) !== current || current.connection) return
      if (!isWritten) current.cancelLater = clock.after(RETRY_MS, () => this.#become(id, state))
      else if (state === 'away') current.cancelLater = clock.after(GONE_AFTER_MS, () => this.#become(id, 'gone'))
    })
  }

  /** Whether what this gateway says of the machine still counts. */
  #look(id: MachineId): void {
    const current = this.#held.get(id)
    if (!current) return
    void this.#deps.machines.get(id).then((machine) => {
      if (this.#held.get(id) !== current) return
      if (!machine.ok) return this.#giveUp(id, current, 'removed')
      const latest = this.#deps.machines.bridgeOf(id)
      const { since } = current.record
      if (latest && isLaterBridge(latest, { peer: this.#deps.self, since })) this.#giveUp(id, current, 'replaced')
    })
  }

  #giveUp(id: MachineId, current: Held, why: 'replaced' | 'removed'): void {
    const { hosts, log, documents, self } = this.#deps
    this.#held.delete(id)
    current.cancelLater()
    current.cancelFacts()
    if (why === 'removed') hosts.forget(id)
    else if (current.connection) hosts.disconnect(id, current.connection)
    current.connection?.end(why)
    void written(documents.write(machineDoc(self), undefined, (state) => deleteBridge(state, id))).then((deleted) => {
      // It is passed over by everybody all the same.
      if (!deleted.ok)
        log.warn({ code: deleted.error.code, machine: id }, 'the record of a bridge could not be deleted')
    })
  }

  async #write(id: MachineId, record: BridgeRecord): Promise<boolean> {
    const { documents, self, log } = this.#deps
    const result = await written(
      documents.write(machineDoc(self), undefined, (state) => writeBridge(state, id, record)),
    )
    if (!result.ok)
      log.warn({ code: result.error.code, machine: id }, 'it could not be written down that an agent is connected')
    return result.ok
  }
}

const held = (record: BridgeRecord): Held => ({
  connection: undefined,
  record,
  factsAtMs: -Infinity,
  told: new Set(),
  cancelLater: () => undefined,
  cancelFacts: () => undefined,
})

const isoTime = (ms: number): string => new Date(ms).toISOString()

import type * as Y from 'yjs'
import { z } from 'zod'
import { BridgedMachineId, type MachineId } from './ids.ts'

/*
 * The part of `machine/<peer>` in which a gateway says whose agents are connected to it: one flat map, machine id → record.
 */
const BRIDGES = 'bridges'

/** A gateway bridges tens of machines; more than this is a fault or an attack, and is not read. */
const BRIDGES_READ_MAX = 1000

/** The last moment that a `Date` can tell. */
export const SINCE_MAX = 8.64e15

const shortText = z.string().max(512)

/** What an agent says of its machine. What it leaves out stays as it was registered. */
export const AgentFacts = z.object({
  hostname: shortText.exactOptional(),
  platform: shortText.exactOptional(),
  arch: shortText.exactOptional(),
  nodeVersion: shortText.exactOptional(),
  rookeryVersion: shortText.exactOptional(),
  claudeVersion: shortText.exactOptional(),
  claudePath: z.string().max(4096).exactOptional(),
  /** The agent refuses more sessions than this, whatever the mesh would allow. */
  maxSessions: z.int().min(1).max(1000).exactOptional(),
})
export type AgentFacts = z.infer<typeof AgentFacts>

export const BridgeRecord = z.object({
  /** Milliseconds since the epoch; later than every connection of this agent that the gateway knew of. */
  since: z.int().min(0).max(SINCE_MAX),
  /** `away`: it has just broken off, and the agent may come back. */
  state: z.enum(['connected', 'away', 'gone']),
  /** Since when the state is this. */
  at: z.iso.datetime(),
  facts: AgentFacts,
})
/** The latest connection of a machine's agent to one gateway. */
export type BridgeRecord = z.infer<typeof BridgeRecord>

export function readBridges(doc: Y.Doc): ReadonlyMap<MachineId, BridgeRecord> {
  const bridges = new Map<MachineId, BridgeRecord>()
  for (const [key, value] of doc.getMap(BRIDGES)) {
    const id = BridgedMachineId.safeParse(key)
    const record = BridgeRecord.safeParse(value)
    if (id.success && record.success) bridges.set(id.data, record.data)
    if (bridges.size >= BRIDGES_READ_MAX) break
  }
  return bridges
}

export function writeBridge(doc: Y.Doc, machine: MachineId, record: BridgeRecord): void {
  doc.getMap(BRIDGES).set(machine, BridgeRecord.parse(record))
}

export function deleteBridge(doc: Y.Doc, machine: MachineId): void {
  doc.getMap(BRIDGES).delete(machine)
}

/** Of two connections of one agent the later one counts. Every node comes to the same answer. */
export function isLaterBridge(
  a: { readonly peer: string; readonly since: number },
  b: { readonly peer: string; readonly since: number },
): boolean {
  return a.since > b.since || (a.since === b.since && a.peer > b.peer)
}

import type { Actor } from '../../crdt/actor.ts'
import type { Machine, MachineFacts, MachineStatus } from '../../crdt/machine.ts'
import type { MachineId, PeerId } from '../../crdt/ids.ts'
import type { Page, PageRequest } from '../../crdt/page.ts'
import type { Result } from '../../crdt/result.ts'

export type MachineService = {
  list(filter: { search?: string; status?: MachineStatus }, page: PageRequest): Promise<Page<Machine>>
  get(id: string): Promise<Result<Machine>>
  /** A bridged record: a host that appears in the mesh without a node behind it. Answers with its `mn_` token. */
  register(
    actor: Actor,
    input: Partial<MachineFacts> & { name: string },
  ): Promise<Result<{ machine: Machine; token: string }>>
  update(
    actor: Actor,
    id: string,
    change: { name?: string; maxSessions?: number; capabilities?: readonly string[] },
  ): Promise<Result<Machine>>
  /** For a member's machine this removes the member and needs `machine:admin`. */
  remove(actor: Actor, id: string): Promise<Result<null>>
  /** Facts asked of the machine itself; refused with `machine_offline` when it cannot answer. */
  environment(id: string): Promise<Result<MachineFacts>>
  /** The node behind a machine id, for the calls that must cross the mesh. */
  nodeOf(id: string): Promise<Result<{ machineId: MachineId; peer: PeerId }>>
  readonly self: MachineId
}

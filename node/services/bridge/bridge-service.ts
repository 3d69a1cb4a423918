import type { Actor } from '../../../crdt/actor.ts'
import type { AgentFacts } from '../../../crdt/bridge-records.ts'
import type { Result } from '../../../crdt/result.ts'
import type { AgentLink, AgentReport } from '../../ports/agent-link.ts'

/**
 * Why a gateway lets go of an agent. `replaced`: the agent has connected anew, here or elsewhere. `removed`: there is no
 * such machine any more.
 */
export type BridgeEnd = 'replaced' | 'removed' | 'stopping'

/** An agent at the other end of a connection. */
export type AgentConnection = AgentLink & {
  /** Told once. The connection is of no use to anybody afterwards. */
  end(why: BridgeEnd): void
}

/** What a connected agent may do. */
export type BridgedAgent = {
  report(report: AgentReport): void
  /** What it says of its machine: said when it has started, so it knows by now what it still runs. */
  state(facts: AgentFacts): void
  /** The connection is gone. */
  gone(): void
}

/** Agents of machines without a node: each connected to one gateway of the mesh, whichever that is. */
export type BridgeService = {
  /**
   * The agent of the actor's machine has connected to this gateway. Its former connection, to any gateway, ends.
   * @errors forbidden (not the token of a machine without a node), machine_not_found, storage_failed
   */
  connect(actor: Actor, connection: AgentConnection): Promise<Result<BridgedAgent>>
}

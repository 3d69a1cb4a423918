import { z } from 'zod'
import type { Actor } from '../../../crdt/actor.ts'
import type { MachineId, MeshId, PeerId } from '../../../crdt/ids.ts'
import type { MachineFacts, MachineStatus } from '../../../crdt/machine.ts'
import type { Result } from '../../../crdt/result.ts'

/** What a machine says of itself before anybody knows it. Nothing of it is checked; it only helps to recognise it. */
export type AgentInfo = Partial<
  Pick<
    MachineFacts,
    'platform' | 'hostname' | 'arch' | 'nodeVersion' | 'rookeryVersion' | 'claudeVersion' | 'claudePath'
  >
>

export type PairingRequest = {
  /** Chosen by the machine; else one is made. */
  readonly code?: string
  readonly name?: string
  readonly agent: AgentInfo
  /** A node that wants to become a member, with the commitment to its nonce; without it, an agent that wants a token. */
  readonly node?: { readonly peer: PeerId; readonly boxKey: Uint8Array; readonly commitment: Uint8Array }
}

export type PairingOpened = {
  readonly code: string
  /** Proves who started the pairing. In this answer and nowhere else. */
  readonly token: string
  readonly expiresAt: string
  /** For a node: the gateway's part in the words. */
  readonly gateway?: {
    readonly mesh: MeshId
    readonly peer: PeerId
    readonly boxKey: Uint8Array
    readonly nonce: Uint8Array
    readonly tlsFingerprint: string | null
  }
}

/** What the machine gets out of it, once: an agent its token, a node a ticket that only its box key opens. */
export type PairingSecret =
  | { readonly token: string }
  | { readonly sealed: { readonly nonce: Uint8Array; readonly box: Uint8Array } }

export type PairingProgress =
  | { readonly status: 'pending'; readonly expiresAt: string }
  | {
      readonly status: 'completed'
      readonly machineId: MachineId
      /** Null for whoever has not shown the token, and from the second time on. */
      readonly secret: PairingSecret | null
    }

export type PairedMachine = {
  readonly id: MachineId
  readonly name: string
  readonly platform: string
  readonly hostname: string
  readonly status: MachineStatus
}

export type CompletedPairing = {
  readonly machine: PairedMachine
  readonly code: string
  readonly completedAt: string
}

/** A machine that waits to be paired, as it crosses the mesh in answers. */
export const PendingRecord = z.object({
  code: z.string().max(7),
  name: z.string().max(255),
  /** `node`: is to become a member; `agent`: gets a token. */
  kind: z.enum(['node', 'agent']),
  platform: z.string().max(512),
  hostname: z.string().max(512),
  /** Where it called from. */
  address: z.string().max(64),
  /** Of a node, once it has opened its nonce. */
  words: z.string().max(256).nullable(),
  expiresAt: z.iso.datetime(),
})
export type PendingPairing = z.infer<typeof PendingRecord> & {
  /** Name of the machine at whose gateway it waits. */
  readonly gateway: string
}

export type CompletionChoice = {
  /** The name that the machine asked for, or its host name, unless given. */
  readonly name?: string
  /** What the person has compared: needed for a node. */
  readonly words?: string
  /** Give the token to whoever polls with the code: for agents that do not keep the token of `initiate`. */
  readonly allowLegacy: boolean
}

export type PairingService = {
  /**
   * A machine that nobody knows asks to be paired at this gateway; `address` is where it calls from.
   * @errors pairing_code_taken, rate_limited (too many are open), forbidden (this gateway may not admit members)
   */
  initiate(request: PairingRequest, address: string): Result<PairingOpened>
  /** A node opens its nonce: from now on there are words. @errors pairing_not_found, invalid_input and the ends of a pairing */
  reveal(code: string, token: string | undefined, nonce: Uint8Array): Result<null>
  /**
   * How far it is; with the token from `initiate` it waits for a change up to `waitMs`. Known at the gateway that it was
   * started at.
   * @errors pairing_not_found (a wrong token too), pairing_expired, pairing_refused, rate_limited (codes were guessed)
   */
  poll(code: string, token: string | undefined, waitMs: number): Promise<Result<PairingProgress>>
  /** The machine has changed its mind. @errors as `poll` */
  cancel(code: string, token: string | undefined): Result<null>
  /** What waits at any gateway of the mesh; `unreachable` names those that did not answer. Needs `machine:write`. */
  list(actor: Actor): Promise<Result<{ pairings: readonly PendingPairing[]; unreachable: readonly string[] }>>
  /**
   * Completes a pairing wherever it was started. Of any number of parallel completions exactly one succeeds. Needs
   * `machine:write`, and `machine:admin` for a node.
   * @errors pairing_not_found, pairing_expired, pairing_completed, pairing_refused, pairing_code_taken (two gateways have
   * the code), forbidden, invalid_input, limit_reached, machine_offline, machine_refused
   */
  complete(actor: Actor, code: string, choice: CompletionChoice): Promise<Result<CompletedPairing>>
  /** Ends a pairing that is not completed. @errors as `complete` */
  refuse(actor: Actor, code: string): Promise<Result<null>>
}

import type { WebSocket } from 'ws'
import type { Actor } from '../../crdt/actor.ts'
import type { DomainErrorCode } from '../../crdt/errors.ts'
import type { Clock } from '../../node/ports/clock.ts'
import type { Log } from '../../node/ports/log.ts'
import type { BridgeEnd } from '../../node/services/bridge/bridge-service.ts'
import type { Services } from '../../node/services/services.ts'
import { AgentSocket } from './agent-socket.ts'
import type { AgentWords } from './agent-socket.ts'
import { keepAlive } from './keep-alive.ts'

/** Why an agent's socket is closed. Agents of ClaudeNest come back whatever the code; people read it in their logs. */
const CODES = {
  replaced: [4001, 'The agent has connected anew'],
  removed: [4004, 'The machine was removed'],
  revoked: [4009, 'The token was revoked'],
  stopping: [1001, 'The gateway is stopping'],
  failed: [1011, 'The connection could not be written down'],
} as const satisfies Record<BridgeEnd | 'revoked' | 'failed', readonly [number, string]>

const REFUSALS: Partial<Record<DomainErrorCode, keyof typeof CODES>> = {
  superseded: 'replaced',
  machine_not_found: 'removed',
  forbidden: 'revoked',
}

type Deps = {
  readonly services: Pick<Services, 'bridge' | 'accounts'>
  readonly clock: Clock
  readonly log: Log
  readonly words: AgentWords
}

export type AgentServer = {
  /** Serves the agent of a machine whose token the gate has found good. */
  accept(socket: WebSocket, actor: Actor): void
  /** Sockets now open. */
  readonly size: () => number
  close(): void
}

/** Agents of machines without a node, in a dialect's words. Each machine has one connection; a second one replaces it. */
export function createAgentServer({ services, clock, log, words }: Deps): AgentServer {
  const open = new Map<AgentSocket, string>()
  const stopRevocations = services.accounts.onRevoked((tokenId) => {
    for (const [agent, token] of open) if (token === tokenId) agent.close(...CODES.revoked)
  })
  return {
    accept(socket, actor) {
      const agent = new AgentSocket(socket, { clock, words })
      const end = (why: keyof typeof CODES): void => {
        const [code, reason] = CODES[why]
        agent.close(code, reason)
      }
      const cancelPing = keepAlive(socket, clock)
      open.set(agent, actor.tokenId)
      socket.on('error', (error) => log.debug({ err: error, machine: actor.id }, "an agent's socket failed"))
      socket.on('close', () => {
        open.delete(agent)
        cancelPing()
      })
      const connection = { send: agent.order, end }
      services.bridge.connect(actor, connection).then(
        (connected) => {
          if (connected.ok) agent.serve(connected.value)
          else end(REFUSALS[connected.error.code] ?? 'failed')
        },
        (error: unknown) => {
          log.error({ err: error, machine: actor.id }, 'an agent could not be connected')
          end('failed')
        },
      )
    },
    size: () => open.size,
    close() {
      stopRevocations()
      for (const agent of open.keys()) agent.close(...CODES.stopping)
    },
  }
}

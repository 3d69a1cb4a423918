import type { FastifyInstance, FastifyRequest } from 'fastify'
import { domainError } from '../../crdt/errors.ts'
import type { Clock } from '../../node/ports/clock.ts'
import type { MachineService } from '../../node/services/machines/machine-service.ts'
import type { Speak } from '../http/gate.ts'
import { refuse } from '../http/mount.ts'
import { httpError, unauthenticated } from '../http/refusal.ts'
import type { Refusal } from '../http/refusal.ts'
import type { AgentServer } from './agent-server.ts'
import type { Upgrades } from './upgrade.ts'

const UPGRADE = { connection: 'Upgrade', upgrade: 'websocket' }

/** `GET /ws/agent`, with a machine's token in `X-Machine-Token` (or as a bearer token) and its id in `X-Machine-ID`. */
export function mountAgents(
  app: FastifyInstance,
  agents: AgentServer,
  deps: { machines: Pick<MachineService, 'get'>; upgrades: Upgrades; speak: Speak; clock: Clock },
): void {
  const { machines, upgrades, speak, clock } = deps
  for (const url of ['/ws/agent', '/claudenest/ws/agent'])
    app.get(
      url,
      { config: { gate: { policy: 'authenticated', group: 'websocket', speak, tokenHeader: 'x-machine-token' } } },
      async (request, reply) => {
        const { actor } = request
        if (actor === undefined) return refuse(reply, unauthenticated(), { speak, clock })
        const refusal = await refusalOf(request, machines)
        if (refusal !== undefined) return refuse(reply, refusal, { speak, clock })
        const isUpgrade = upgrades.accept(request, reply, (socket) => agents.accept(socket, actor))
        return isUpgrade ? reply : refuse(reply, httpError('upgrade_required', UPGRADE), { speak, clock })
      },
    )
}

/** Before the handshake, so that it stands where agents look: in the answer to their request. */
async function refusalOf(
  { actor, headers }: FastifyRequest,
  machines: Pick<MachineService, 'get'>,
): Promise<Refusal | undefined> {
  if (actor?.kind !== 'machine')
    return domainError('forbidden', { message: 'Only the token of a machine may connect its agent.' })
  const named = headers['x-machine-id']
  if (named !== undefined && named !== actor.id)
    return domainError('forbidden', {
      message: `This is the token of another machine: X-Machine-ID must be ${actor.id}.`,
    })
  const machine = await machines.get(actor.id)
  if (!machine.ok) return machine.error
  if (machine.value.node === null) return undefined
  return domainError('forbidden', { message: 'This machine has a node and needs no bridge.' })
}

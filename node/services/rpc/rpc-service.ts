import { domainError } from '../../../crdt/errors.ts'
import { err, ok } from '../../../crdt/result.ts'
import { RPC_FRAME_BYTES_MAX, RPC_PROTOCOL } from '../../../protocols/rpc.ts'
import type { Clock } from '../../ports/clock.ts'
import type { PeerNetwork } from '../../ports/peer-network.ts'
import { createRpcClient } from './rpc-client.ts'
import { createRpcServer, type RpcServerDeps } from './rpc-server.ts'
import type { Rpc } from './rpc.ts'

/** One is kept open; another may be opened while the first is dying. */
const CHANNELS_PER_PEER_MAX = 4

export type RpcDeps = Omit<RpcServerDeps, 'self' | 'clock'> & { readonly network: PeerNetwork; readonly clock: Clock }

/**
 * Requests between members. Who asks needs `control`, who answers `run`; the machine's own policy is the method's
 * business. Calls of this node to itself take the same path but for the network and the capabilities.
 */
export function createRpc(deps: RpcDeps): Rpc {
  const { network } = deps
  const server = createRpcServer({ ...deps, self: network.self })
  const client = createRpcClient(deps)
  network.handle(
    RPC_PROTOCOL,
    {
      policy: { who: 'member', capability: 'control' },
      frameBytesMax: RPC_FRAME_BYTES_MAX,
      channelsPerPeerMax: CHANNELS_PER_PEER_MAX,
    },
    (channel) => server.serve(channel),
  )
  return {
    serve: (method) => server.register(method),
    async call(peer, method, request) {
      if (peer !== network.self) return await client.call(peer, method, request)
      const { actor, input, reply, signal = new AbortController().signal } = request
      if (signal.aborted) return err(domainError('cancelled'))
      const answer = await server.answer({ actor, input, method }, peer, signal)
      return answer.ok ? ok(reply.parse(answer.value)) : answer
    },
  }
}

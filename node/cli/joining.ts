import type { PeerId } from '../../crdt/ids.ts'
import { domainError } from '../../crdt/errors.ts'
import { err, ok, type Result } from '../../crdt/result.ts'
import { parseTicket, type Ticket } from '../../protocols/ticket.ts'
import type { DataDirectory } from '../adapters/data-directory.ts'
import { createSigner } from '../adapters/node-crypto.ts'
import { systemClock } from '../adapters/system-clock.ts'
import { createPeerNetwork } from '../p2p/network.ts'
import type { Log } from '../ports/log.ts'
import { joinMesh, type JoinedMesh } from '../services/membership/join-client.ts'
import type { Identity } from './identity.ts'
import { installJoinedMesh } from './mesh-files.ts'
import { ADDRESSES_FACT, encodeAddresses } from './remembered.ts'

/** Dialling, admission and fetching the log together. */
const JOIN_DEADLINE_MS = 30_000

export type JoinRequest = {
  readonly ticket: string
  readonly name: string
  readonly log: Log
  /** Asked once more just before the mesh so far is given up: joining takes its time. */
  readonly mayReplace?: () => Promise<boolean>
  readonly signal?: AbortSignal
}

/**
 * Has this node admitted to the mesh of a ticket and makes that mesh its current one. Nothing has changed unless it
 * succeeds. The caller has made sure that the mesh so far is empty.
 */
export async function joinWithTicket(
  data: DataDirectory,
  identity: Identity,
  { ticket: text, name, log, mayReplace, signal }: JoinRequest,
): Promise<Result<{ mesh_id: string; peer_id: PeerId }>> {
  const ticket = parseTicket(identity.crypto, text, systemClock.wallMs())
  if (!ticket.ok) return ticket
  if (ticket.value.inviter === identity.signer.peer)
    return err(domainError('ticket_invalid', { message: 'This ticket was made by this very node: use it on another.' }))
  const deadline = AbortSignal.any([AbortSignal.timeout(JOIN_DEADLINE_MS), ...(signal ? [signal] : [])])
  const joined = await askInviter(identity, ticket.value, { name, log, deadline })
  if (!joined.ok) return joined
  if (mayReplace && !(await mayReplace())) return err(domainError('mesh_not_empty'))
  const addresses = new Map([
    [ADDRESSES_FACT, encodeAddresses(new Map([[ticket.value.inviter, ticket.value.addresses]]))],
  ])
  const installed = await installJoinedMesh(data, identity, { ...joined.value, log, addresses })
  return installed.ok ? ok({ mesh_id: installed.value, peer_id: identity.signer.peer }) : installed
}

/** Over a network of its own: the Noise prologue is the other mesh's id, so the running one cannot be used. */
async function askInviter(
  identity: Identity,
  ticket: Ticket,
  { name, log, deadline }: Pick<JoinRequest, 'name' | 'log'> & { deadline: AbortSignal },
): Promise<Result<JoinedMesh>> {
  const network = await createPeerNetwork({
    seed: identity.seed,
    mesh: ticket.mesh,
    listen: [],
    mdns: false,
    isMember: (peer) => peer === ticket.inviter,
    mayOpen: () => false,
    knownAddresses: { load: async () => new Map(), save: async () => undefined },
    clock: systemClock,
    log,
  })
  try {
    await network.start()
    await network.dialAddresses(ticket.inviter, ticket.addresses, deadline)
    const { crypto, signer, box } = identity
    const deps = { network, crypto, signer, clock: systemClock, log, keyFromSeed: createSigner }
    return await joinMesh({ ...deps, self: { name, boxKey: box.publicKey } }, ticket, deadline)
  } catch (error) {
    log.info({ err: error }, 'the inviter could not be reached')
    const message = `The node that made this ticket cannot be reached. Tried: ${ticket.addresses.join(', ')}. Is it running, and on this network?`
    return err(domainError('inviter_unreachable', { message }))
  } finally {
    await network.stop()
  }
}

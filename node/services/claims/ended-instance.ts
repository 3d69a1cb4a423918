import type { Actor } from '../../../crdt/actor.ts'
import { domainError } from '../../../crdt/errors.ts'
import { InstanceId, type PeerId } from '../../../crdt/ids.ts'
import { err, type Result } from '../../../crdt/result.ts'
import type { Cancel } from '../../ports/clock.ts'
import type { EventHub } from '../event-hub.ts'

/** Said of what was held by an agent that is not there any more. */
export const AGENT_ENDED = 'The agent has ended.'

/**
 * Calls back when a session of this node has ended, or a command that was run: what it held under its id
 * (`ROOKERY_INSTANCE` there) nobody is left to give back. Other agents end unseen.
 */
export const onInstanceEnd = (
  { events, self }: { events: Pick<EventHub, 'subscribe'>; self: PeerId },
  listener: (instance: InstanceId) => void,
): Cancel =>
  events.subscribe((event) => {
    const ended =
      event.type === 'session.ended' ? event.session : event.type === 'execution.ended' ? event.execution : undefined
    if (ended?.node === self) listener(InstanceId.parse(ended.id))
  })

/** Gives back for a holder that is gone, with the token that it had, and may do nothing else. */
export const inPlaceOf = ({ tokenId }: { readonly tokenId: string }, self: PeerId): Actor => ({
  kind: 'local',
  id: 'local',
  tokenId,
  abilities: [],
  gateway: self,
})

/**
 * The answer to an instance that asked for something, unless it has ended meanwhile: what it was granted after that is
 * given back, since nothing else will. @errors cancelled: nobody is there to be told
 */
export async function unlessEnded<T>(
  result: Result<T>,
  instanceId: string,
  { hasEnded, giveBack }: { hasEnded: (of: InstanceId) => boolean; giveBack: (of: InstanceId) => Promise<void> },
): Promise<Result<T>> {
  const instance = InstanceId.safeParse(instanceId).data
  if (!result.ok || instance === undefined || !hasEnded(instance)) return result
  await giveBack(instance)
  return err(domainError('cancelled', { message: AGENT_ENDED }))
}

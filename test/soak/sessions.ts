import { request } from '../chaos/gateway-client.ts'
import type { Json } from '../support/nodes.ts'
import type { SoakMember } from './mesh.ts'

/** Where the sessions of this machine are asked for; undefined while its gateway does not answer. */
export async function sessionsOf({ name, endpoint }: SoakMember): Promise<string | undefined> {
  const machines = await request(endpoint, 'GET', '/api/machines?per_page=100')
  const own = machines.data?.find((machine: Json) => machine.name === name)
  return own === undefined ? undefined : `/api/machines/${own.id}/sessions`
}

/** Ends all sessions of this machine, also those of whose start no answer came. Returns how many there were. */
export async function endSessions(member: SoakMember): Promise<number> {
  const path = await sessionsOf(member)
  const sessions = path === undefined ? undefined : await request(member.endpoint, 'GET', `${path}?per_page=100`)
  const running = sessions?.data?.filter(({ status }: Json) => status === 'running')
  for (const { id } of running ?? []) await request(member.endpoint, 'DELETE', `/api/sessions/${id}`)
  return running?.length ?? 1
}

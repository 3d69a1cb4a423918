import { SessionId } from '../../crdt/ids.ts'
import type { AnySpec, SessionHosts } from '../ports/session-host.ts'

type Hosts = Pick<SessionHosts<AnySpec>, 'get' | 'list'>

/** An agent whose instance id is that of its session lives as long as that does. Of any other nothing is known. */
export function hasSessionEnded(hosts: Hosts, instance: string): boolean {
  const id = SessionId.safeParse(instance)
  const session = id.success ? hosts.get(id.data) : undefined
  return session !== undefined && session.state.status !== 'running'
}

/** Whether a session of this machine runs in the folder, or below it. */
export const hasSessionIn = (hosts: Hosts, folder: string | undefined): boolean =>
  folder !== undefined &&
  hosts
    .list()
    .some(
      ({ spec, state }) =>
        !('machine' in spec) && state.status === 'running' && `${spec.projectPath}/`.startsWith(`${folder}/`),
    )

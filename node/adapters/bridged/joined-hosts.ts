import type { SessionId } from '../../../crdt/ids.ts'
import type { BridgedHosts } from '../../ports/agent-link.ts'
import type { AnySpec, HostedSession, SessionHosts } from '../../ports/session-host.ts'

/** Sessions of this machine and of those that it bridges as one: whoever asks need not know which is which. */
export function joinHosts(own: SessionHosts, bridged: BridgedHosts): SessionHosts<AnySpec> {
  const hostsOf = (id: SessionId): SessionHosts | BridgedHosts => (bridged.get(id) ? bridged : own)
  return {
    recover: async () => [...(await own.recover()), ...(await bridged.recover())],
    start: async (spec) => ('machine' in spec ? await bridged.start(spec) : await own.start(spec)),
    get: (id): HostedSession<AnySpec> | undefined => hostsOf(id).get(id),
    list: () => [...own.list(), ...bridged.list()],
    onChange(listener) {
      const cancels = [own.onChange(listener), bridged.onChange(listener)]
      return () => {
        for (const cancel of cancels) cancel()
      }
    },
    open: (id) => hostsOf(id).open(id),
    input: (id, bytes) => hostsOf(id).input(id, bytes),
    resize: (id, size) => hostsOf(id).resize(id, size),
    kill: (id) => hostsOf(id).kill(id),
    logs: (id, filter) => hostsOf(id).logs(id, filter),
    remove: (id) => hostsOf(id).remove(id),
    async close() {
      await own.close()
      await bridged.close()
    },
  }
}

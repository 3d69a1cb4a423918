import { readFile } from 'node:fs/promises'
import type { PeerId } from '../../crdt/ids.ts'
import type { EventLoopDelay } from '../ports/event-loop.ts'
import type { Config } from './config.ts'
import type { HealthView, MemberHealth } from './health-view.ts'
import type { MeshNode } from './mesh-node.ts'
import { isRefused, ownProblems } from './mesh-status.ts'
import { openDescriptors } from './process-metrics.ts'
import { rookeryVersion } from './version.ts'

const PAGE = { page: 1, perPage: 100_000 }

/** Gathers what `rookery doctor` asks the running node. */
export async function healthOf(
  { core, services }: MeshNode,
  { config, eventLoop }: { config: Config; eventLoop: EventLoopDelay },
): Promise<HealthView> {
  const { self, membership, network, documents, nameOf } = core
  const others = await othersOf({ core, services })
  return {
    version: rookeryVersion(),
    startedAt: new Date(performance.timeOrigin).toISOString(),
    isRemoved: !membership.current().members.has(self),
    isRefused: isRefused(network),
    problems: ownProblems(core),
    others,
    voters: votersOf(core, others),
    frozen: [...documents.frozen()].map(([peerId, reason]) => ({ peerId, name: nameOf(peerId), reason })),
    lagging: laggingOf(core),
    eventLoop,
    descriptors: await descriptors(),
    isLanDiscoveryOn: config.p2p.mdns,
  }
}

async function othersOf({ core, services }: Pick<MeshNode, 'core' | 'services'>): Promise<MemberHealth[]> {
  const { self, presence, network } = core
  const { items: machines } = await services.machines.list({}, PAGE)
  return services.mesh.members().flatMap(({ peerId, name, lastSeenAt, problem }): MemberHealth[] => {
    if (peerId === self) return []
    return [
      {
        peerId,
        name,
        state: presence.state(peerId),
        farewell: presence.farewell(peerId) ?? null,
        way: network.wayTo(peerId),
        lastSeenAt,
        skewMs: presence.skewMs(peerId) ?? null,
        version: machines.find(({ node }) => node === peerId)?.rookeryVersion || null,
        problem,
      },
    ]
  })
}

function votersOf({ self, leases, nameOf }: MeshNode['core'], others: readonly MemberHealth[]): HealthView['voters'] {
  const { quorum } = leases.changes.view()
  const stateOf = (peer: PeerId): MemberHealth | undefined => others.find(({ peerId }) => peerId === peer)
  const missing = leases.voters().filter((peer) => peer !== self && stateOf(peer)?.state !== 'online')
  return {
    quorum,
    online: leases.voters().length - missing.length,
    missing: missing.map((peer) => ({ name: nameOf(peer), lastSeenAt: stateOf(peer)?.lastSeenAt ?? null })),
  }
}

function laggingOf({ sync, means: { clock } }: MeshNode['core']): HealthView['lagging'] {
  return [...sync.lag.documents()].map(([document, { envelopes, sinceMs }]) => ({
    document,
    envelopes,
    forMs: clock.monoMs() - sinceMs,
  }))
}

async function descriptors(): Promise<HealthView['descriptors']> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '')
  const soft = /^Max open files +(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? null : { open: await openDescriptors(), limit: Number(soft) }
}

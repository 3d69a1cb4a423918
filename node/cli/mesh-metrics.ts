import { join } from 'node:path'
import type { PeerId } from '../../crdt/ids.ts'
import { bytesOf } from '../adapters/disk-usage.ts'
import type { Way } from '../ports/peer-ways.ts'
import type { Cancel } from '../ports/clock.ts'
import type { Metrics } from '../ports/metrics.ts'
import type { MeshCore, MeshNodeDeps } from './mesh-core.ts'
import { contextDir, journalFile, storeDir } from './mesh-files.ts'

/** Documents with a lag of their own in the metrics, those furthest behind; a mesh may have 20,000. */
const DOCUMENTS_LABELLED_MAX = 50
/** Members with figures of their own, the most senior ones; a full mesh of connections ends far below. */
const MEMBERS_LABELLED_MAX = 200

/** What the state of the mesh looks like from this node. Whatever counts up is counted where it happens. */
export function meterMesh(deps: MeshNodeDeps, core: MeshCore, meshName: string): Cancel {
  const { metrics } = deps
  const cancels = [
    ...members(metrics, core),
    ...connections(metrics, core),
    ...documents(metrics, core),
    ...work(metrics, core),
    disk(deps, meshName),
  ]
  return () => {
    for (const cancel of cancels) cancel()
  }
}

function members(metrics: Metrics, { self, membership, presence, nameOf }: MeshCore): Cancel[] {
  const all = (): PeerId[] =>
    [...membership.current().members.values()]
      .toSorted((a, b) => a.seniority - b.seniority)
      .slice(0, MEMBERS_LABELLED_MAX)
      .map(({ peer }) => peer)
  const others = (value: (peer: PeerId) => number | undefined) => () =>
    all().flatMap((member): ByMember[] => {
      const known = member === self ? undefined : value(member)
      return known === undefined ? [] : [[known, { member }]]
    })
  return [
    metrics.onLook('rookery_members', () => [[membership.current().members.size, {}]]),
    metrics.onLook('rookery_member_info', () => all().map((member) => [1, { member, name: nameOf(member) }])),
    metrics.onLook('rookery_member_online', () =>
      all().map((member) => [presence.state(member) === 'online' ? 1 : 0, { member }]),
    ),
    metrics.onLook(
      'rookery_member_last_heard_timestamp_seconds',
      others((peer) => seconds(presence.lastSeenWallMs(peer))),
    ),
    metrics.onLook(
      'rookery_member_round_trip_seconds',
      others((peer) => seconds(presence.rttMs(peer))),
    ),
    metrics.onLook(
      'rookery_member_clock_skew_seconds',
      others((peer) => seconds(presence.skewMs(peer))),
    ),
  ]
}

type ByMember = readonly [value: number, labels: { member: PeerId }]

const seconds = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : ms / 1000)

const LABELS = { 'this machine': 'loopback', 'local network': 'lan', internet: 'wan', relay: 'relay' } as const
const isConnected = (how: Way['how']): how is keyof typeof LABELS => how !== 'not connected'

function connections(metrics: Metrics, { network, sync }: MeshCore): Cancel[] {
  return [
    metrics.onLook('rookery_peers_connected', () => {
      const ways = network.connected().map((peer) => network.wayTo(peer).how)
      const labels = ways.filter((how) => isConnected(how)).map((how) => LABELS[how])
      return Object.values(LABELS).map((reached) => [labels.filter((label) => label === reached).length, { reached }])
    }),
    metrics.onLook('rookery_member_lag_envelopes', () => byMember(sync.lag.members())),
    metrics.onLook('rookery_sync_outbox_bytes', () => byMember(sync.outboxes())),
  ]
}

const byMember = (values: ReadonlyMap<PeerId, number>): ByMember[] =>
  [...values].slice(0, MEMBERS_LABELLED_MAX).map(([member, value]) => [value, { member }])

function documents(metrics: Metrics, { documents: feeds, sync }: MeshCore): Cancel[] {
  return [
    metrics.onLook('rookery_documents', () => {
      const loaded = feeds.info().filter((info) => info.loaded).length
      return [
        [loaded, { state: 'loaded' }],
        [feeds.info().length - loaded, { state: 'unloaded' }],
      ]
    }),
    metrics.onLook('rookery_document_envelopes', () => [[sum(feeds.info().map(({ envelopes }) => envelopes)), {}]]),
    metrics.onLook('rookery_envelopes_waiting', () => [[sum(feeds.info().map(({ waiting }) => waiting)), {}]]),
    metrics.onLook('rookery_authors_frozen', () => [[feeds.frozen().size, {}]]),
    metrics.onLook('rookery_document_lag_envelopes', () => {
      const lags = new Map<string, number>([...sync.lag.documents()].map(([doc, { envelopes }]) => [doc, envelopes]))
      for (const { doc, waiting } of feeds.info()) if (waiting > 0) lags.set(doc, Math.max(waiting, lags.get(doc) ?? 0))
      return [...lags]
        .toSorted(([, a], [, b]) => b - a)
        .slice(0, DOCUMENTS_LABELLED_MAX)
        .map(([document, lag]) => [lag, { document }])
    }),
  ]
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

function work(metrics: Metrics, { leases, hosts, presence }: MeshCore): Cancel[] {
  return [
    metrics.onLook('rookery_voters', () => {
      const voters = leases.voters()
      const online = voters.filter((peer) => presence.state(peer) === 'online').length
      return [
        [online, { state: 'online' }],
        [voters.length - online, { state: 'offline' }],
      ]
    }),
    metrics.onLook('rookery_leases_held', () => [[leases.held().length, {}]]),
    metrics.onLook('rookery_voters_quorum', () => [[leases.changes.view().quorum, {}]]),
    metrics.onLook('rookery_sessions', () => {
      const running = hosts.list().filter(({ state }) => state.status === 'running').length
      return [
        [running, { state: 'running' }],
        [hosts.list().length - running, { state: 'ended' }],
      ]
    }),
  ]
}

function disk({ data, metrics }: MeshNodeDeps, meshName: string): Cancel {
  const folder = data.meshDir(meshName)
  return metrics.onLook('rookery_store_bytes', async () => [
    [await bytesOf(storeDir(folder)), { store: 'documents' }],
    [await bytesOf(join(journalFile(folder), '..')), { store: 'leases' }],
    [await bytesOf(contextDir(folder)), { store: 'context' }],
    [await bytesOf(data.sessionsDir), { store: 'sessions' }],
    [await bytesOf(join(data.path, 'executions')), { store: 'executions' }],
    [await bytesOf(data.auditFile), { store: 'audit' }],
  ])
}

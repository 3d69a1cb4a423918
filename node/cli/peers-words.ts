import type { PeerView } from '../services/membership/peers-service.ts'

export const PEER_HEADINGS = ['NAME', 'REACHED', 'SINCE', 'RTT', 'PROGRAM', 'ADDRESS']

export const peerRow = (peer: PeerView, nowMs: number): string[] => [
  peer.name,
  reached(peer),
  peer.since === null ? '-' : age(peer.since, nowMs),
  peer.rttMs === null ? '-' : `${peer.rttMs.toFixed(1)} ms`,
  peer.agent ?? '-',
  peer.address === null ? '-' : withoutPeers(peer.address),
]

function reached({ how, via, plan }: PeerView): string {
  if (via !== null) return `through ${via.name}`
  return plan === 'when needed' ? plan : how
}

/** Below the table: why a machine is not reached, or only through another one. */
export const peerLines = (peers: readonly PeerView[], nowMs: number): string[] =>
  peers.filter(isExplained).flatMap((peer) => ['', ...whyNot(peer, nowMs)])

const isExplained = ({ how, plan, failed }: PeerView): boolean =>
  how === 'relay' || (how === 'not connected' && (plan !== 'when needed' || failed.length > 0))

function whyNot(peer: PeerView, nowMs: number): string[] {
  const tried = peer.failed.map(
    ({ address, error, at }) => `  ${withoutPeers(address)}: ${error} (${age(at, nowMs)} ago)`,
  )
  if (peer.how === 'relay')
    return tried.length === 0
      ? [`${peer.name} has no address that could be tried without ${peer.via?.name ?? 'the relay'}.`]
      : [`${peer.name} could not be reached directly:`, ...tried]
  const seen =
    peer.lastSeenAt === null ? 'not seen since this node started' : `last seen ${age(peer.lastSeenAt, nowMs)} ago`
  return [`${peer.name} is not connected: ${seen}; ${planned(peer)}.`, ...tried]
}

function planned({ plan, nextTryInSeconds }: PeerView): string {
  if (plan === 'no address') return 'no address of it is known. Start it, or let it join anew'
  if (plan === 'when needed') return 'it is tried when it is needed'
  return nextTryInSeconds === null ? 'being tried now' : `next try in ${nextTryInSeconds} s`
}

/** The address as a person would write it: who is there is in the first column. */
function withoutPeers(address: string): string {
  const [, host, port] = /^\/(?:ip4|ip6|dns[46]?)\/([^/]+)\/tcp\/(\d+)/.exec(address) ?? []
  if (host === undefined || port === undefined)
    return /\/p2p-circuit/.test(address) ? 'through another machine' : address
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function age(since: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(since)) / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}

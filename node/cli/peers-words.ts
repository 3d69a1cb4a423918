import type { PeerView } from '../services/membership/peers-service.ts'

export const PEER_HEADINGS = ['NAME', 'REACHED', 'SINCE', 'RTT', 'PROGRAM', 'ADDRESS']

export const peerRow = (peer: PeerView, nowMs: number): string[] => [
  peer.name,
  peer.via === null ? peer.how : `through ${peer.via.name}`,
  peer.since === null ? '-' : age(peer.since, nowMs),
  peer.rttMs === null ? '-' : `${peer.rttMs.toFixed(1)} ms`,
  peer.agent ?? '-',
  peer.address === null ? '-' : withoutPeers(peer.address),
]

/** Below the table: why a machine is not reached, or only through another one. */
export const peerLines = (peers: readonly PeerView[], nowMs: number): string[] =>
  peers.filter(({ how }) => how === 'not connected' || how === 'relay').flatMap((peer) => ['', ...whyNot(peer, nowMs)])

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
  const next = peer.nextTryInSeconds === null ? 'being tried now' : `next try in ${peer.nextTryInSeconds} s`
  // Whoever is tried has an address; it may lead there, and the other end hang up.
  return tried.length === 0 && peer.nextTryInSeconds === null
    ? [`${peer.name} is not connected: ${seen}; no address of it is known. Start it, or let it join anew.`]
    : [`${peer.name} is not connected: ${seen}; ${next}.`, ...tried]
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

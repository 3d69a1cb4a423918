import { durationWords } from './ago.ts'
import { bad, type Finding, good, warn } from './finding.ts'
import type { HealthView, MemberHealth } from './health-view.ts'

/** Tickets, tokens and certificates live for minutes at least; clocks that are set by the network agree to the second. */
const SKEW_MAX_MS = 5000
/** What comes up is passed on in milliseconds, and compared twice a minute: what is missing for longer is stuck. */
const LAG_MAX_MS = 90_000

/** What is wrong between this machine and the others, in plain words. `nowMs` is the wall clock. */
export const meshFindings = (health: HealthView, nowMs: number): Finding[] => [
  ...standing(health),
  ...ofThisNode(health),
  quorum(health, nowMs),
  ...members(health, nowMs),
  ...clocks(health),
  ...frozen(health),
  ...lag(health),
  ...versions(health),
  ...discovery(health),
]

function standing({ isRemoved, isRefused }: HealthView): Finding[] {
  if (isRemoved)
    return [
      bad(
        'membership',
        'this machine has been removed from its mesh: nothing that is done here reaches the others',
        'Start over with `rookery leave`, then join again with a new ticket.',
      ),
    ]
  return isRefused
    ? [
        bad(
          'membership',
          'members hang up on this machine again and again: it has probably been removed while it was away',
          'Ask an admin (`rookery members` there). If so: `rookery leave`, then join again with a new ticket.',
        ),
      ]
    : []
}

const ofThisNode = ({ problems }: HealthView): Finding[] =>
  problems.map((problem) => bad('this node', problem, '`rookery status` shows it until it is over.'))

function quorum({ voters: { quorum: needed, online, missing }, startedAt }: HealthView, nowMs: number): Finding {
  const names = missing
    .map(({ name, lastSeenAt }) => `${name} (${sinceWords(lastSeenAt, startedAt, nowMs)})`)
    .join(', ')
  if (online < needed)
    return bad(
      'quorum',
      `${needed} voters must agree to a claim, ${online} can be reached; missing: ${names}. Tasks cannot be claimed; locks are provisional`,
      'Start those machines, or mend their network. If they are gone for good, on an admin machine: `rookery voters set … --force --reason …`.',
    )
  if (missing.length > 0)
    return warn(
      'quorum',
      `${online} voters can be reached, ${needed} are needed; missing: ${names}`,
      online === needed ? 'Bring it back soon: if one more fails, nobody can claim anything.' : 'Bring it back.',
    )
  return good('quorum', `${online} voters can be reached, ${needed} are needed`)
}

function sinceWords(lastSeenAt: string | null, startedAt: string, nowMs: number): string {
  if (lastSeenAt !== null) return `last heard ${durationWords(nowMs - Date.parse(lastSeenAt))} ago, at ${lastSeenAt}`
  return `not heard since this node started ${durationWords(nowMs - Date.parse(startedAt))} ago`
}

function members({ others, startedAt }: HealthView, nowMs: number): Finding[] {
  const troubled = others.filter(({ problem }) => problem !== null)
  const silent = others.filter(({ problem, state }) => problem === null && state !== 'online')
  const findings = [
    ...troubled.map(({ name, problem }) => bad(`member ${name}`, problem ?? '', 'See `rookery members`.')),
    ...silent.map((member) =>
      warn(
        `member ${member.name}`,
        `${whyAway(member)}; ${sinceWords(member.lastSeenAt, startedAt, nowMs)}`,
        remedyOf(member),
      ),
    ),
  ]
  if (findings.length > 0) return findings
  return [good('members', others.length === 0 ? 'no other member yet' : `all ${others.length} others are heard`)]
}

function whyAway({ farewell, way, lastSeenAt }: MemberHealth): string {
  if (farewell === 'bye') return 'its node was stopped'
  if (farewell === 'sleep') return 'it went to sleep'
  if (way.how !== 'not connected')
    return 'connected, but it says nothing: it is very busy, stopped in a debugger, or hangs'
  const why =
    lastSeenAt === null
      ? 'no address at which it was ever reached answers'
      : 'it does not answer any more: it is off, asleep, or its network is cut'
  const [last] = way.failed
  return last === undefined ? why : `${why} (${last.address}: ${last.error})`
}

function remedyOf({ farewell, way }: MemberHealth): string {
  if (farewell === 'bye') return 'Start it there with `rookery up`.'
  if (farewell === 'sleep') return 'It comes back by itself when it wakes.'
  if (way.how !== 'not connected')
    return 'Look at its load and its log; `rookery down` and `up` there helps if it hangs.'
  return 'See that it runs (`rookery status` there) and that a firewall lets it be reached; it is dialled again by itself.'
}

function clocks({ others }: HealthView): Finding[] {
  const known = others.flatMap(({ name, skewMs }) => (skewMs === null ? [] : [{ name, skewMs }]))
  const skewed = known.filter(({ skewMs }) => Math.abs(skewMs) > SKEW_MAX_MS)
  if (skewed.length === 0) return []
  const all = skewed
    .map(({ name, skewMs }) => `${name} is ${durationWords(Math.abs(skewMs))} ${skewMs > 0 ? 'ahead' : 'behind'}`)
    .join(', ')
  const isOurs = skewed.length > 1 && skewed.length > known.length / 2
  return [
    warn(
      'clocks',
      `${all}${isOurs ? ': it seems to be the clock of this machine that is wrong' : ''}`,
      `Set the clock ${isOurs ? 'here' : 'there'} (for instance \`timedatectl set-ntp true\`): tickets and tokens expire by it.`,
    ),
  ]
}

const frozen = ({ frozen: authors }: HealthView): Finding[] =>
  authors.map(({ peerId, name, reason }) =>
    bad(
      `author ${name}`,
      `has broken the rules of the mesh (${reason}): what it writes is ignored by everybody`,
      // Not by the name, which its owner chose: an admin pastes this into a shell.
      `Find out what runs there: an old copy of its data directory, or a modified program. An admin should remove it: \`rookery remove ${peerId}\`.`,
    ),
  )

function lag({ lagging }: HealthView): Finding[] {
  const stuck = lagging.filter(({ forMs }) => forMs > LAG_MAX_MS)
  const [worst] = stuck.toSorted((a, b) => b.envelopes - a.envelopes)
  if (!worst) return []
  const rest = stuck.length === 1 ? '' : ` and ${stuck.length - 1} more documents`
  return [
    warn(
      'replication',
      `${worst.document} lacks ${worst.envelopes} changes that others have, for ${durationWords(worst.forMs)}${rest}`,
      'It catches up by itself where the network lets it; if it does not, look for refused envelopes in the log (`--log-level warn`).',
    ),
  ]
}

/** Neighbouring releases understand each other. */
function versions({ version, others }: HealthView): Finding[] {
  return others.flatMap(({ name, version: theirs }) => {
    if (theirs === null || theirs === version) return []
    const found = `${theirs}, this machine has ${version}`
    return areNeighbours(theirs, version)
      ? [warn(`version of ${name}`, found, 'Both work together; upgrade the older one when it suits you.')]
      : [bad(`version of ${name}`, found, 'They are more than one release apart: upgrade the older one now.')]
  })
}

function areNeighbours(a: string, b: string): boolean {
  const [majorA = 0, minorA = 0] = a.split('.').map(Number)
  const [majorB = 0, minorB = 0] = b.split('.').map(Number)
  return majorA === majorB && Math.abs(minorA - minorB) <= 1
}

function discovery({ isLanDiscoveryOn, others }: HealthView): Finding[] {
  const isAnyAway = others.some(({ state }) => state !== 'online')
  if (isLanDiscoveryOn)
    return others.length > 0 && isAnyAway && !others.some(({ way }) => way.how === 'local network')
      ? [
          warn(
            'discovery',
            'no member is reached on the local network',
            'If one is in it: the network may keep its machines apart (guest WLAN), or drop multicast (UDP port 5353).',
          ),
        ]
      : []
  const off = 'finding members on the local network is switched off (p2p.mdns)'
  return isAnyAway
    ? [
        warn(
          'discovery',
          off,
          'A member whose address has changed is found again only by others; switch it on if you can.',
        ),
      ]
    : [good('discovery', off)]
}

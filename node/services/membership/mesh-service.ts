import { CAPABILITIES, type Capability, DEFAULT_CAPABILITIES } from '../../../crdt/capability.ts'
import { domainError, type DomainError, invalidField } from '../../../crdt/errors.ts'
import { type DocId, isVolatile, type MeshId, type PeerId } from '../../../crdt/ids.ts'
import { err, ok, type Result } from '../../../crdt/result.ts'
import type { Crypto } from '../../../protocols/crypto.ts'
import { type FeedCut, hasCapability, type Member, type Membership } from '../../../protocols/membership/membership.ts'
import { CUTS_MAX, type Draft, sortedCapabilities } from '../../../protocols/membership/records.ts'
import { formatTicket } from '../../../protocols/ticket.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Random } from '../../ports/random.ts'
import type { MembershipService } from './membership-service.ts'
import { readableSecrets, type ReadableSecret } from './readable-secrets.ts'
import type { Presence } from '../sync/presence.ts'
import type { LeaseService } from '../leases/lease-service.ts'

export type MemberView = {
  readonly peerId: PeerId
  readonly name: string
  readonly online: boolean
  /** Multiaddr of the connection in use, `self`, or null. */
  readonly reachedBy: string | null
  readonly rttMs: number | null
  readonly voter: boolean
  readonly capabilities: readonly Capability[]
  readonly lastSeenAt: string | null
  /** What is wrong with this member, if anything (frozen feed, other protocol version). */
  readonly problem: string | null
}

export type RemovedView = MemberView & { readonly couldRead: readonly ReadableSecret[] }

export type MeshStatus = {
  readonly meshId: MeshId
  readonly peerId: PeerId
  readonly name: string
  /** Base address of the gateway, or null for a node without one. */
  readonly http: string | null
  readonly members: readonly MemberView[]
  readonly voters: readonly PeerId[]
  readonly documents: readonly {
    readonly id: string
    readonly authors: number
    readonly envelopes: number
    readonly pending: number
  }[]
  readonly setupCode?: string
  readonly problems: readonly string[]
}

export type MeshService = {
  status(): Promise<MeshStatus>
  members(): readonly MemberView[]
  /** A single-use ticket, one line. */
  invite(options: {
    capabilities?: readonly Capability[]
    expiresInMs?: number
  }): Promise<Result<{ ticket: string; expiresAt: string }>>
  /** By peer id or unambiguous name. Closes its connections and voids what it signs from now on. */
  remove(member: string): Promise<Result<RemovedView>>
  /** Removes this node from the mesh, gracefully. */
  leave(): Promise<Result<null>>
  onChange(listener: () => void): () => void
}

/** Only a mesh in which nothing would be lost may be left behind for another one. */
export const isEmptyMesh = (mesh: { members: number; users: number; projects: number }): boolean =>
  mesh.members <= 1 && mesh.users === 0 && mesh.projects === 0

export const INVITE_MS_DEFAULT = 24 * 60 * 60 * 1000
/** A ticket is a password that lies around; who needs longer makes another. */
export const INVITE_MS_MAX = 30 * 24 * 60 * 60 * 1000
/** Every open invite is a way in. */
export const OPEN_INVITES_MAX = 256

export type MeshServiceDeps = {
  readonly self: PeerId
  readonly membership: MembershipService
  readonly presence: Presence
  readonly leases: Pick<LeaseService, 'voters'>
  readonly crypto: Crypto
  readonly clock: Pick<Clock, 'wallMs'>
  readonly random: Random
  /** The key pair of an Ed25519 seed. */
  readonly keyFromSeed: (seed: Uint8Array) => { readonly publicKey: Uint8Array }
  /** Multiaddrs at which others may reach this node, best first. */
  readonly addresses: () => readonly string[]
  readonly connectionOf: (peer: PeerId) => { readonly address: string } | undefined
  /** What a machine calls itself by now; undefined: the name it joined with. */
  readonly nameOf?: (peer: PeerId) => string | undefined
  /** What an author's feeds have come to here; their ends become the cuts of its removal. */
  readonly feedHeads: (peer: PeerId) => ReadonlyMap<DocId, FeedCut>
  readonly documents: () => Promise<MeshStatus['documents']>
  readonly http: () => string | null
  readonly setupCode: () => string | undefined
  readonly problemOf: (peer: PeerId) => string | null
  readonly problems: () => readonly string[]
}

/** What people do with the mesh itself: look at it, invite, remove, leave. */
export function createMeshService(deps: MeshServiceDeps): MeshService {
  const { membership, presence } = deps
  const members = (): readonly MemberView[] => {
    const all = [...membership.current().members.values()]
    return all.toSorted((a, b) => a.seniority - b.seniority).map((member) => viewOf(deps, member))
  }
  return {
    members,
    status: () => statusOf(deps, members()),
    invite: (options) => invite(deps, options),
    remove: (member) => remove(deps, member),
    async leave() {
      const left = await membership.author(({ resolution }) => leaving(deps, resolution.membership))
      return left.ok ? ok(null) : left
    },
    onChange(listener) {
      const cancels = [membership.onChange(() => listener()), presence.onChange(() => listener())]
      return () => {
        for (const cancel of cancels) cancel()
      }
    },
  }
}

async function statusOf(deps: MeshServiceDeps, members: readonly MemberView[]): Promise<MeshStatus> {
  const setupCode = deps.setupCode()
  return {
    meshId: deps.membership.mesh,
    peerId: deps.self,
    name: members.find(({ peerId }) => peerId === deps.self)?.name ?? '',
    http: deps.http(),
    members,
    voters: deps.leases.voters(),
    documents: await deps.documents(),
    ...(setupCode === undefined ? {} : { setupCode }),
    problems: deps.problems(),
  }
}

function viewOf(deps: MeshServiceDeps, { peer, name, capabilities }: Member): MemberView {
  const isSelf = peer === deps.self
  const lastSeenMs = isSelf ? deps.clock.wallMs() : deps.presence.lastSeenWallMs(peer)
  return {
    peerId: peer,
    name: deps.nameOf?.(peer) ?? name,
    online: isSelf || deps.presence.state(peer) === 'online',
    reachedBy: isSelf ? 'self' : (deps.connectionOf(peer)?.address ?? null),
    rttMs: isSelf ? null : (deps.presence.rttMs(peer) ?? null),
    voter: deps.leases.voters().includes(peer),
    capabilities: CAPABILITIES.filter((capability) => capabilities.has(capability)),
    lastSeenAt: lastSeenMs === undefined ? null : new Date(lastSeenMs).toISOString(),
    problem: deps.problemOf(peer),
  }
}

async function invite(
  deps: MeshServiceDeps,
  options: { capabilities?: readonly Capability[]; expiresInMs?: number },
): Promise<Result<{ ticket: string; expiresAt: string }>> {
  const { self, membership, crypto, clock } = deps
  const { capabilities = DEFAULT_CAPABILITIES, expiresInMs = INVITE_MS_DEFAULT } = options
  if (!Number.isSafeInteger(expiresInMs) || expiresInMs < 1 || expiresInMs > INVITE_MS_MAX)
    return err(invalidField('expiresInMs', `must be between 1 and ${INVITE_MS_MAX} (30 days)`))
  const expiresAtMs = Math.floor(clock.wallMs()) + expiresInMs
  const inviteSeed = deps.random.bytes(32)
  const draft: Draft = {
    type: 'invite',
    inviteKey: deps.keyFromSeed(inviteSeed).publicKey.slice(),
    capabilities: sortedCapabilities(capabilities),
    expiresAt: expiresAtMs,
  }
  const authored = await membership.author(({ resolution, nowMs }) => {
    const refusal = inviteRefusal(resolution.membership, self, capabilities, nowMs)
    return refusal ? err(refusal) : ok(draft)
  })
  if (!authored.ok) return authored
  if (!authored.value) throw new Error('an invitation always has a draft')
  const ticket = formatTicket(crypto, {
    mesh: membership.mesh,
    inviter: self,
    addresses: deps.addresses(),
    inviteSeed,
    invite: authored.value.id,
    expiresAtMs,
    capabilities,
  })
  return ok({ ticket, expiresAt: new Date(expiresAtMs).toISOString() })
}

function inviteRefusal(
  current: Membership,
  self: PeerId,
  wanted: readonly Capability[],
  nowMs: number,
): DomainError | undefined {
  if (!hasCapability(current, self, 'admit'))
    return domainError('forbidden', { message: 'This node may not invite: it lacks the capability `admit`.' })
  const lacking = wanted.filter((capability) => !hasCapability(current, self, capability))
  if (lacking.length > 0)
    return domainError('forbidden', { message: `This node cannot grant what it does not have: ${lacking.join(', ')}.` })
  const open = [...current.invites.values()].filter(({ expiresAtMs }) => expiresAtMs >= nowMs)
  return open.length >= OPEN_INVITES_MAX
    ? domainError('limit_reached', { message: `${OPEN_INVITES_MAX} invitations are open already.` })
    : undefined
}

async function remove(deps: MeshServiceDeps, wanted: string): Promise<Result<RemovedView>> {
  const { self, membership } = deps
  let view: RemovedView | undefined
  const removed = await membership.author(({ resolution: { membership: current } }) => {
    if (!hasCapability(current, self, 'admin'))
      return err(domainError('forbidden', { message: 'This node may not remove members: it lacks `admin`.' }))
    const found = findMember(deps, current, wanted)
    if (!found.ok) return found
    const { peer } = found.value
    if (peer === self) return err(invalidField('member', 'is this node itself; use `rookery leave`'))
    const refusal = voterRefusal(deps, current, peer)
    if (refusal) return err(refusal)
    view = { ...viewOf(deps, found.value), couldRead: readableSecrets(current, found.value) }
    return removalOf(deps, peer)
  })
  if (!removed.ok) return removed
  if (!view) throw new Error('a removal always has a member')
  return ok(view)
}

function leaving(deps: MeshServiceDeps, current: Membership): Result<Draft> {
  const { self } = deps
  if (!current.members.has(self)) return err(domainError('member_not_found'))
  const refusal = voterRefusal(deps, current, self)
  return refusal ? err(refusal) : removalOf(deps, self)
}

/** A voter that goes takes its vote with it: those that remain must still be a quorum, or they could only be forced. */
function voterRefusal(deps: MeshServiceDeps, current: Membership, peer: PeerId): DomainError | undefined {
  const voters = deps.leases.voters()
  const present = voters.filter((voter) => current.members.has(voter))
  const quorum = Math.floor(voters.length / 2) + 1
  const isDecisive = present.includes(peer) && present.length === quorum
  if (!isDecisive || current.members.size <= 1) return undefined
  const name = deps.nameOf?.(peer) ?? current.members.get(peer)?.name ?? peer
  return domainError('forbidden', {
    message: `${name} is a voter without which there is no quorum: nobody could claim a task or lock a file any more. Choose other voters first: \`rookery voters set\` (with --force if it is lost).`,
  })
}

/** A peer id names one member; a name does when nobody else goes by it. */
function findMember({ nameOf }: MeshServiceDeps, current: Membership, wanted: string): Result<Member> {
  const members = [...current.members.values()]
  const byId = members.find(({ peer }) => peer === wanted)
  if (byId) return ok(byId)
  const [byName, another] = members.filter(({ peer, name }) => (nameOf?.(peer) ?? name) === wanted)
  if (!byName) return err(domainError('member_not_found'))
  return another ? err(invalidField('member', 'is the name of several members; use the peer id')) : ok(byName)
}

function removalOf(deps: MeshServiceDeps, peer: PeerId): Result<Draft> {
  const heads = [...deps.feedHeads(peer)].filter(([doc]) => !isVolatile(doc))
  if (heads.length > CUTS_MAX)
    return err(domainError('limit_reached', { message: `The member wrote to more than ${CUTS_MAX} documents.` }))
  const cuts = heads.map(([doc, { seq, hash }]) => [doc, { seq, hash: hash.slice() }] as const)
  return ok({ type: 'remove', peer, cuts: Object.fromEntries(cuts) })
}

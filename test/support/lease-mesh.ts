import type { PeerId } from '../../crdt/ids.ts'
import type { PeerNetwork } from '../../node/ports/peer-network.ts'
import type { FeedPosition } from '../../node/services/feeds/documents.ts'
import { createLeaseService, type RunningLeaseService } from '../../node/services/leases/lease-holder.ts'
import type { AcquireRequest, HeldLease } from '../../node/services/leases/lease-service.ts'
import { openLeaseVoter, prepareVoterJournal, type LeaseVoter } from '../../node/services/leases/lease-voter.ts'
import type { VoterLog } from '../../node/services/leases/voter-change.ts'
import { ok } from '../../crdt/result.ts'
import { encodeCanonical } from '../../protocols/codec.ts'
import { voterSetOf, type VoterSet } from '../../protocols/lease/config.ts'
import type { Config } from '../../protocols/lease/messages.ts'
import { pack } from '../../protocols/lease/signing.ts'
import type { LeaseTimings } from '../../protocols/lease/timings.ts'
import type { Member, Membership, RecordedVoterSet } from '../../protocols/membership/membership.ts'
import { createManualClock, settle, type ManualClock } from './clock.ts'
import { createSeededRandom, crypto, identity } from './identity.ts'
import { configOf, path, peer, signedBy, space } from './lease-lab.ts'
import { createSimDisk, type SimDisk } from './lease-sim-journal.ts'
import { createRecordedLog, type RecordedLog } from './log.ts'
import { acceptOf, ballotOf, prepareOf } from './succession-lab.ts'
import { createMemoryNetwork, type MemoryNetwork } from './memory-network.ts'

export type LeaseNode = {
  readonly peer: PeerId
  network: PeerNetwork
  readonly log: RecordedLog
  readonly disk: SimDisk
  voter: LeaseVoter
  leases: RunningLeaseService
  /** What this node has applied of other authors' feeds: everything, unless told otherwise. */
  reached: (position: FeedPosition, signal: AbortSignal) => Promise<boolean>
  boot: number
  /** Runs when this node has learned of a decision on the voters and is about to write it down. */
  beforePublish: () => Promise<void>
}

export type LeaseMesh = {
  readonly clock: ManualClock
  readonly network: MemoryNetwork
  readonly nodes: readonly LeaseNode[]
  /** Who votes at first. */
  readonly set: VoterSet
  /** What every node's membership log says about voters after the first, changed through `voterLog`. */
  readonly voterSets: RecordedVoterSet[]
  readonly voterFaults: Uint8Array[]
  readonly removed: Map<PeerId, Membership['removed'] extends ReadonlyMap<PeerId, infer Cuts> ? Cuts : never>
  /** The process of a voter dies and starts again from its disk; its holder's side starts anew too. */
  restart(node: LeaseNode): Promise<void>
  /** The machine is gone. */
  kill(node: LeaseNode): Promise<void>
  cut(a: LeaseNode, b: LeaseNode): void
  join(a: LeaseNode, b: LeaseNode): void
  close(): Promise<void>
}

/** Nodes 1 to `nodes`, of which the first `voters` vote, all connected, on one clock and simulated disks. */
export async function createLeaseMesh(options: {
  voters: number
  nodes: number
  /** Node 1 unless told otherwise. */
  admins?: readonly number[]
  timings?: Partial<LeaseTimings>
}): Promise<LeaseMesh> {
  const clock = createManualClock()
  const network = createMemoryNetwork()
  const removed: LeaseMesh['removed'] = new Map()
  const random = createSeededRandom(7)
  const voterSets: RecordedVoterSet[] = []
  const voterFaults: Uint8Array[] = []
  const disks = Array.from({ length: options.nodes }, createSimDisk)
  const incs: string[] = []
  for (const disk of disks.slice(0, options.voters)) incs.push(await prepareVoterJournal(disk.open(), random))
  const voters = incs.map((inc, i) => ({ node: peer(i + 1), inc }))
  const set = voterSetOf(configOf(options.voters, { voters }))
  const leaseConfig = encodeCanonical(pack(set.config))
  const told = (): void => {
    for (const { leases } of nodes) leases.membershipChanged()
  }
  const voterLogOf = (by: PeerId): VoterLog => ({
    async publishSealed(bytes) {
      await nodes.find(({ peer }) => peer === by)?.beforePublish()
      voterSets.push({ kind: 'sealed', bytes, by })
      told()
      return ok(null)
    },
    async publishForced(bytes, reason) {
      voterSets.push({ kind: 'forced', bytes, reason, by })
      told()
      return ok(null)
    },
    async publishFault(proof) {
      voterFaults.push(proof)
      told()
      return ok(null)
    },
  })
  const membership = (): Membership => ({
    mesh: space,
    founder: peer(1),
    members: new Map(
      Array.from({ length: options.nodes }, (_, i) => memberOf(peer(i + 1), i, options.admins ?? [1]))
        .filter((member) => !removed.has(member.peer))
        .map((member) => [member.peer, member]),
    ),
    removed,
    invites: new Map(),
    leaseConfig,
    voterSets: [...voterSets],
    voterFaults: [...voterFaults],
    recoveryKeys: [],
    voided: new Set(),
    heads: [],
  })
  const start = async (node: LeaseNode): Promise<void> => {
    const { network, log, disk, boot } = node
    const deps = {
      network,
      membership,
      crypto,
      signer: identity(numberOf(node.peer, options.nodes)),
      clock,
      random,
      log,
    }
    node.voter = await openLeaseVoter({ ...deps, journal: disk.open() })
    node.leases = createLeaseService({
      ...deps,
      boot,
      timings: options.timings ?? {},
      reached: async (position, signal) => await node.reached(position, signal),
      voter: node.voter,
      voterLog: voterLogOf(node.peer),
      nameOf: (of) => `node-${numberOf(of, options.nodes)}`,
      isOnline: () => true,
    })
  }

  const nodes: LeaseNode[] = []
  for (let n = 1; n <= options.nodes; n++) {
    const node = {
      peer: peer(n),
      network: network.join(peer(n)),
      log: createRecordedLog(),
      disk: disks[n - 1],
      voter: undefined,
      reached: async () => true,
      boot: 1,
      beforePublish: async () => undefined,
    } as unknown as LeaseNode
    await start(node)
    nodes.push(node)
  }
  for (const a of nodes) for (const b of nodes) if (a !== b) network.connect(a.peer, b.peer)

  return {
    clock,
    network,
    nodes,
    set,
    voterSets,
    voterFaults,
    removed,
    async restart(node) {
      const peers = node.network.connected()
      for (const other of peers) network.disconnect(node.peer, other)
      node.disk.crash()
      await node.leases.close()
      node.boot += 1
      node.network = network.join(node.peer)
      await start(node)
      for (const other of peers) network.connect(node.peer, other)
      await settle()
    },
    async kill(node) {
      for (const other of node.network.connected()) network.disconnect(node.peer, other)
      await node.leases.close()
    },
    cut: (a, b) => network.disconnect(a.peer, b.peer),
    join: (a, b) => network.connect(a.peer, b.peer),
    async close() {
      for (const { leases } of nodes) await leases.close()
    },
  }
}

/** An admin proposes that the first `count` voters vote from now on; only one voter hears of it, and seals its epoch. */
export async function acceptedAlone({ set, nodes }: LeaseMesh, voter: LeaseNode, admin: LeaseNode, count: number) {
  const by = numberOf(admin.peer, nodes.length)
  const voters = set.config.body.voters.slice(0, count)
  const next = signedBy<Config>(by, 'config', {
    v: 1,
    space,
    epoch: set.epoch + 1,
    voters,
    prev: set.cid,
    by: admin.peer,
  })
  voter.voter.submit(admin.peer, { t: 'prepare', m: prepareOf(set, by, ballotOf(1)) }, () => undefined)
  voter.voter.submit(admin.peer, { t: 'accept', m: acceptOf(set, ballotOf(1), next, { by }) }, () => undefined)
  await settle()
}

const memberOf = (peer: PeerId, seniority: number, admins: readonly number[]): Member => ({
  peer,
  name: `node-${seniority + 1}`,
  boxKey: new Uint8Array(32),
  capabilities: new Set(admins.includes(seniority + 1) ? ['admin'] : []),
  seniority,
})

function numberOf(wanted: PeerId, nodes: number): number {
  return Array.from({ length: nodes }, (_, i) => i + 1).find((n) => peer(n) === wanted) ?? 0
}

/** Ten minutes on the path `a`, without waiting, unless told otherwise. */
export const wanting = (mesh: LeaseMesh, owner: string, fields: Partial<AcquireRequest> = {}): AcquireRequest => {
  const holdUntilMs = mesh.clock.wallMs() + 600_000
  return {
    resources: [path('a')],
    owner,
    info: { instanceId: owner, untilMs: holdUntilMs },
    holdUntilMs,
    waitMs: 0,
    ...fields,
  }
}

/** The answer and how much time of the clock it took. */
export async function timed<T>(
  { clock }: LeaseMesh,
  answer: Promise<T>,
  limitMs = 30_000,
): Promise<{ answer: T; ms: number }> {
  const startMs = clock.monoMs()
  let done: { answer: T; ms: number } | undefined
  void answer.then((value) => (done = { answer: value, ms: clock.monoMs() - startMs }))
  await settle()
  for (let ms = 0; ms <= limitMs && !done; ms += 50) await clock.advance(50)
  if (!done) throw new Error(`no answer within ${limitMs} ms`)
  return done
}

/** @throws when it is refused */
export async function acquired(
  mesh: LeaseMesh,
  node: LeaseNode,
  owner: string,
  fields: Partial<AcquireRequest> = {},
): Promise<HeldLease> {
  const answer = await node.leases.acquire(wanting(mesh, owner, fields))
  if (!answer.ok) throw new Error(`refused: ${JSON.stringify(answer.error)}`)
  return answer.value
}

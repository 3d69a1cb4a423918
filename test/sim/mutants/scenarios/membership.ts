import type { EstateExchange } from '../../../../node/services/leases/estate-exchange.ts'
import type { Outbox } from '../../../../node/services/leases/lease-outbox.ts'
import { VoterAdoption } from '../../../../node/services/leases/voter-adoption.ts'
import { Proposals } from '../../../../node/services/leases/voter-proposals.ts'
import type { SealVote } from '../../../../protocols/lease/ballot.ts'
import { voterSetOf, type VoterSet } from '../../../../protocols/lease/config.ts'
import type { Epoch } from '../../../../protocols/lease/epochs.ts'
import { pack } from '../../../../protocols/lease/signing.ts'
import { DEFAULT_TIMINGS } from '../../../../protocols/lease/timings.ts'
import { createSeededRandom } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import type { Position, Resource } from '../../../../protocols/lease/messages.ts'
import { AFTER_FLOOR_MAX, AFTER_MAX, AfterFloor, mergePositions } from '../../../../protocols/lease/positions.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { configOf, path, peer, position, signaturesOf, signedBy } from '../../../support/lease-lab.ts'
import {
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'
import { acceptOf, ballotOf, sealedEpoch, sealOf, successorOf } from '../../../support/succession-lab.ts'
import type { Report, Scenario } from '../scenario.ts'

export const membershipScenarios: readonly Scenario[] = [
  {
    id: 'membership',
    says: 'A voter serves members and lets admins say who votes, as the log says at the moment.',
    run: membership,
  },
  { id: 'voter-clock', says: 'A voter measures its promises by the clock that only goes on.', run: voterClock },
  {
    id: 'tokens-of-quorums',
    says: 'Tokens grow from holder to holder, whichever voters grant them.',
    run: tokensOfQuorums,
  },
  {
    id: 'positions',
    says: 'Of last writes the furthest of each feed is kept, and not more than a grant may carry.',
    run: positions,
  },
  {
    id: 'epochs-in-a-row',
    says: 'A voter that is behind enters the newest epoch, and changes wait for each other.',
    run: epochsInARow,
  },
]

async function inMesh(
  voters: number,
  run: (mesh: LeaseMesh, nodes: readonly LeaseNode[]) => Promise<void>,
): Promise<void> {
  const mesh = await createLeaseMesh({ voters, nodes: 5, admins: [1, 5] })
  try {
    await run(mesh, mesh.nodes)
  } finally {
    await mesh.close()
  }
}

const tries = async (mesh: LeaseMesh, node: LeaseNode, owner: string, fields: Parameters<typeof wanting>[2] = {}) => {
  const { answer } = await timed(mesh, node.leases.acquire(wanting(mesh, owner, fields)))
  return answer.ok ? answer.value.fencingToken : answer.error.why
}

async function membership({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [founder, holder, other]) => {
    const { cid } = (await acquired(mesh, holder!, 'w1', { resources: [path('b')] })).certificate.req.body
    const set = { ...voterSetOf(configOf(1)), cid }
    const own = signedBy(3, 'config', { ...successorOf(set, [3]).body, by: peer(3) })
    founder!.voter.submit(other!.peer, { t: 'accept', m: acceptOf(set, ballotOf(1), own, { by: 3 }) }, () => undefined)
    await settle()
    must('M5', founder!.voter.sealedEpoch() === undefined, 'a member without the right ends the epoch')
    mesh.removed.set(holder!.peer, new Map())
    must('L2.4.1', (await tries(mesh, holder!, 'w1')) === 'no_quorum', 'a voter serves whoever was removed')
  })
}

async function voterClock({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [, holder, other]) => {
    const lease = await acquired(mesh, holder!, 'w1')
    await mesh.clock.advance(5000)
    mesh.clock.stepWall(50_000)
    const isHeld = holder!.leases.isValid(lease.leaseId)
    const word = await tries(mesh, other!, 'w2')
    must(
      'I1',
      word === 'held',
      `a wall clock that is set ends promises: ${word}${isHeld ? ', and its holder goes on' : ''}`,
    )
  })
  await inMesh(1, async (mesh, [, holder, other]) => {
    await acquired(mesh, holder!, 'w1')
    mesh.clock.stepWall(-3_000_000)
    await holder!.leases.close()
    await mesh.clock.advance(60_000)
    must(
      'I6',
      typeof (await tries(mesh, other!, 'w2')) === 'number',
      'a wall clock that is set back keeps promises for ever',
    )
  })
}

async function tokensOfQuorums({ must }: Report): Promise<void> {
  await inMesh(3, async (mesh, [first, second, third, holder, other]) => {
    mesh.cut(first!, second!)
    mesh.cut(first!, third!)
    for (let i = 0; i < 8; i++) await tries(mesh, first!, 'busy', { resources: [path('elsewhere')] })
    mesh.cut(holder!, third!)
    const before = await acquired(mesh, holder!, 'w1')
    await holder!.leases.release(before.leaseId)
    await settle()
    mesh.cut(other!, first!)
    const after = await tries(mesh, other!, 'w2')
    must(
      'I2',
      typeof after === 'number' && after > before.fencingToken,
      `a token falls from ${before.fencingToken} to ${after}`,
    )
  })
}

function positions({ must }: Report): void {
  const merged = mergePositions([position(2, 5), position(2, 9), position(2, 7), position(3, 1)])
  must('L2.4', merged.map(({ seq }) => seq).join() === '9,1', 'a later holder waits for less than the last write')
  const many = Array.from({ length: AFTER_MAX + 5 }, (_, i): Position => ({
    ...position(2, 1),
    doc: `d${i}` as Position['doc'],
  }))
  must('L2.4', mergePositions(many).length === AFTER_MAX, 'a grant carries more last writes than anybody reads')
  const floor = new AfterFloor()
  const at = (seq: number, key = 'p/a'): void => floor.mergeAll([path(key)], position(2, seq))
  at(9)
  at(5)
  const forPath = (resource: Resource): string =>
    floor
      .for([resource])
      .map(({ seq }) => seq)
      .join()
  must('L2.4', forPath(path('p/x')) === '9', 'an earlier write takes the place of a later one')
  must('L2.4', forPath(path('q/x')) === '', 'everybody waits for the writes of another project')
  must('L2.4', forPath(path('', 'subtree')) === '9', 'whoever takes everything does not wait for all')
  const all = new AfterFloor()
  all.mergeAll([path('', 'subtree')], position(2, 3))
  must('L2.4', all.for([path('q/x')]).length === 1, 'a write to everything is not waited for')
  for (let i = 0; i < AFTER_FLOOR_MAX + 10; i++) at(1, `p${i}/a`)
  must('L2.4', floor.all().length === AFTER_FLOOR_MAX, 'last writes are kept for ever')
}

async function epochsInARow({ must }: Report): Promise<void> {
  const first = voterSetOf(configOf(1))
  const second = successorOf(first, [4])
  const third = successorOf(voterSetOf(second), [4])
  const epochOf = (before: VoterSet, next: typeof second): Epoch => sealedEpoch(next, [sealOf(before, next, 1)])
  let current = epochOf(first, second)
  const entered: number[] = []
  let asked = 0
  const adoption = new VoterAdoption({
    sets: { current: () => current, find: () => ({ set: first, origin: { is: 'founded' } }), isConvicted: () => false },
    voter: {
      needs: () => 'estates',
      adopt: async ({ set }: Epoch) => void entered.push(set.epoch),
      keepEstate: () => undefined,
    } as never,
    exchange: {
      fetch: async (seal: SealVote) => {
        asked += 1
        if (seal.epoch === 1) await new Promise(() => undefined)
        return { packed: { hash: new Uint8Array(32), pages: [] }, estate: { grants: [], after: [] } }
      },
    } as unknown as EstateExchange,
    clock: createManualClock(),
    log: createRecordedLog(),
    closing: new AbortController().signal,
  })
  adoption.catchUp()
  adoption.catchUp()
  await settle()
  must('L2.7', asked === 1, `asks ${asked} times for one estate`)
  current = epochOf(voterSetOf(second), third)
  adoption.catchUp()
  await settle()
  must('I6', entered.join() === '3', 'a voter that waits for one epoch is deaf in the next')

  let prepares = 0
  const proposals = new Proposals({
    signatures: signaturesOf(1),
    outbox: { post: () => void (prepares += 1) } as unknown as Outbox,
    clock: createManualClock(),
    random: createSeededRandom(1),
    timings: DEFAULT_TIMINGS,
  })
  const stop = new AbortController()
  const runs = [1, 2].map(async () => await proposals.run(first, pack(second), stop.signal))
  await settle()
  must('L2.7', prepares === 1, 'two proposals run at once: the answers to one go to the other')
  stop.abort()
  await Promise.all(runs)
}

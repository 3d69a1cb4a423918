import { EstateExchange } from '../../../../node/services/leases/estate-exchange.ts'
import { KeptEstates } from '../../../../node/services/leases/voter-answers.ts'
import { VoterChanger, type VoterChangeDeps } from '../../../../node/services/leases/voter-change.ts'
import { createVoterLog } from '../../../../node/services/leases/voter-log.ts'
import { ok } from '../../../../crdt/result.ts'
import { readConfig, voterSetOf } from '../../../../protocols/lease/config.ts'
import { packEstate, type Estate } from '../../../../protocols/lease/estate.ts'
import type { LeaseMessage } from '../../../../protocols/lease/frame.ts'
import type { Packed } from '../../../../protocols/lease/signing.ts'
import { WAIT_OUT_MS } from '../../../../protocols/lease/voter-state.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { crypto } from '../../../support/identity.ts'
import { configOf, hex, otherSpace, path, peer, signaturesOf, signedBy, space } from '../../../support/lease-lab.ts'
import {
  acceptedAlone,
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'
import { sealedBy, sealOf, successorOf } from '../../../support/succession-lab.ts'
import type { Report, Scenario } from '../scenario.ts'

export const voterChangeScenarios: readonly Scenario[] = [
  { id: 'voters-carried-over', says: 'When the voters change, leases go on and exclude others.', run: carriedOver },
  {
    id: 'who-changes-voters',
    says: 'Voters are changed by an admin, to members that said their incarnation themselves.',
    run: whoChanges,
  },
  {
    id: 'estate-exchange',
    says: 'What voters left is fetched from whoever has it, and is what was sealed.',
    run: exchange,
  },
  {
    id: 'predecessors-gone',
    says: 'Without what a quorum left, new voters wait until all promises have ended.',
    run: predecessorsGone,
  },
  { id: 'proposer-gone', says: 'Voters that sealed complete what a proposer left undone.', run: proposerGone },
  {
    id: 'proposer-removed',
    says: 'What the voters cannot complete, since its proposer is an admin no more, an admin completes for them.',
    run: proposerRemoved,
  },
  {
    id: 'lost-voter-journal',
    says: 'A voter that lost its journal votes again once the set names its new incarnation.',
    run: lostJournal,
  },
]

type Nodes = [LeaseNode, LeaseNode, LeaseNode, LeaseNode, LeaseNode]

async function inMesh(
  options: { voters: number; admins?: number[] },
  run: (mesh: LeaseMesh, nodes: Nodes) => Promise<void>,
): Promise<void> {
  const mesh = await createLeaseMesh({ nodes: 5, ...options })
  try {
    await run(mesh, mesh.nodes as unknown as Nodes)
  } finally {
    await mesh.close()
  }
}

const named = (numbers: readonly number[]): string[] => numbers.map((n) => `node-${n}`)
const change = async (mesh: LeaseMesh, by: LeaseNode, numbers: readonly number[], reason?: string) =>
  (await timed(mesh, by.leases.changes.set({ members: named(numbers), ...(reason && { force: { reason } }) }), 60_000))
    .answer
const try_ = async (mesh: LeaseMesh, node: LeaseNode, owner: string, fields: Parameters<typeof wanting>[2] = {}) => {
  const { answer } = await timed(mesh, node.leases.acquire(wanting(mesh, owner, fields)))
  return answer.ok ? 'granted' : answer.error.why
}
const isolate = (mesh: LeaseMesh, node: LeaseNode): void => {
  for (const other of mesh.nodes) if (other !== node) mesh.cut(node, other)
}

async function carriedOver({ must }: Report): Promise<void> {
  await inMesh({ voters: 1 }, async (mesh, [first, , third, holder, other]) => {
    const before = await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    const changed = await change(mesh, first, [3, 1, 2])
    must('L2.7', changed.ok, 'voters cannot be changed')
    await mesh.clock.advance(1000)
    const after = holder.leases.find(before.leaseId)
    const isNewer = (after?.fencingToken ?? 0) > before.fencingToken && holder.leases.isValid(before.leaseId)
    must('L2.7', isNewer, 'a lease does not go on under a token of the new epoch')
    isolate(mesh, first)
    must('I1', (await try_(mesh, other, 'w2')) === 'held', 'the new voters know nothing of what was promised')
    await mesh.clock.advance(120_000)
    must('L2.7', holder.leases.isValid(before.leaseId), 'a lease hangs on voters of before')
    await holder.leases.release(before.leaseId)
    await settle()
    must('I2', (await acquired(mesh, third, 'w3')).fencingToken > (after?.fencingToken ?? Infinity), 'a token falls')
  })
}

async function whoChanges({ must }: Report): Promise<void> {
  await inMesh({ voters: 3 }, async (mesh, [, second]) => {
    const refused = await change(mesh, second, [2])
    must('M5', !refused.ok && refused.error.code === 'forbidden', 'whoever is no admin proposes voters')
    const forced = await change(mesh, second, [2], 'x')
    must('M5', !forced.ok && mesh.voterSets.length === 0, 'whoever is no admin installs voters by force')
  })
  await inMesh({ voters: 1 }, async (mesh, [first, , , fourth]) => {
    mesh.cut(first, fourth)
    const silent = await change(mesh, first, [1, 4])
    must('L2.7', !silent.ok && silent.error.code === 'machine_offline', 'a voter is named that nobody can reach')
    const same = await change(mesh, first, [1])
    must('L2.7', same.ok && mesh.voterSets.length === 0, 'an epoch ends for nothing')
    for (const members of [[], ['node-9'], ['node-2', 'node-2'], Array.from({ length: 64 }, () => 'node-2')]) {
      const set = first.leases.changes.set({ members }).catch((error: unknown) => error)
      const { answer } = await timed(mesh, set, 60_000)
      must(
        'L2.7',
        (answer as { error?: { code?: string } }).error?.code === 'invalid_input',
        `takes ${members.slice(0, 3).join()} for voters`,
      )
    }
  })
  const published: unknown[] = []
  const log = createVoterLog({
    author: (async (write: (state: unknown) => { value: unknown }) => {
      const membership = { voterSets: known }
      const { value } = write({ resolution: { membership } })
      if (value) published.push(value)
      return ok(null)
    }) as never,
  })
  const first = voterSetOf(configOf(3))
  const second = successorOf(first, [2])
  const known = [sealedBy(first, second, [1, 2])]
  await log.publishSealed(sealedBy(first, second, [2, 3]).bytes)
  must('L2.7', published.length === 0, 'one decision is written down as often as there are quorums')
  await log.publishSealed(sealedBy(first, successorOf(first, [3]), [2, 3]).bytes)
  must('L2.7', published.length === 1, 'another decision is not written down')

  const offer = (by: number, fields: object = {}): LeaseMessage => ({
    t: 'candidate',
    m: signedBy(by, 'candidate', { v: 1 as const, space, node: peer(2), inc: hex(2), ...fields }),
  })
  for (const [what, message] of [
    ['that its node did not sign', offer(3, { inc: hex(9) })],
    ['of another mesh', offer(2, { space: otherSpace, inc: hex(9) })],
    ['of a node that was not asked', offer(3, { node: peer(3), inc: hex(9) })],
  ] as const) {
    const proposed = await proposedVoters([message, offer(2)])
    must('L2.7', proposed === hex(2), `an offer to vote counts ${what}: ${proposed}`)
  }
}

/** Which incarnations a changer names as voters when it asks node 2 and hears these offers. */
async function proposedVoters(offers: readonly LeaseMessage[]): Promise<string> {
  let config: Packed | undefined
  const clock = createManualClock()
  const deps = {
    signatures: signaturesOf(1),
    sets: { current: () => ({ set: voterSetOf(configOf(1)), origin: { is: 'founded' } }) },
    membership: () => ({
      mesh: space,
      members: new Map([1, 2, 3].map((n) => [peer(n), { capabilities: new Set(['admin']) }])),
    }),
    proposals: {
      run: async (_set: unknown, own: Packed) => ((config = own), { is: 'unanswered', silent: [] }),
    },
    nameOf: (of: string) => of,
    clock,
    retryMs: 1000,
    closing: new AbortController().signal,
    send: () => undefined,
  } as unknown as VoterChangeDeps
  const changer = new VoterChanger(deps)
  const done = changer.change({ members: [peer(2)] })
  for (const message of offers) changer.receive(message)
  await clock.advance(6000)
  await done
  return config ? [...readConfig(signaturesOf(40), config).incarnations.values()].join() : 'nobody'
}

const estate: Estate = {
  grants: Array.from({ length: 5 }, (_, i) => ({
    node: peer(21),
    lid: hex(i),
    owner: 'boot/21',
    info: { instanceId: 'a', untilMs: 0 },
    res: Array.from({ length: 400 }, (_, k) => path(`${i}/${String(k).padStart(3, '0')}${'x'.repeat(200)}`)),
    token: { epoch: 1, n: i },
    seq: 0,
    ttlMax: 1000,
    after: [],
  })),
  after: [],
}

async function exchange({ must }: Report): Promise<void> {
  const sha256 = (bytes: Uint8Array): Uint8Array => crypto.sha256(bytes)
  const packed = packEstate(sha256, estate)
  const set = voterSetOf(configOf(3))
  const seal = sealOf(set, successorOf(set, [4]), 1, { estate: packed.hash, pages: packed.pages.length }).body
  const clock = createManualClock()
  let asked = 0
  const stop = new AbortController()
  const exchange = new EstateExchange({
    sha256,
    clock,
    retryMs: 1000,
    send(to, message) {
      if (message.t !== 'pull') return
      asked += 1
      if (asked > 1000) stop.abort()
      const { estate: hash, page } = message.m
      const bytes = to[0] === peer(1) ? Uint8Array.of(page) : packed.pages[page]!
      queueMicrotask(() => exchange.receive({ estate: hash, page, bytes }))
    },
  })
  let fetched: unknown
  void exchange
    .fetch(seal, [peer(1), peer(2)], stop.signal)
    .then((it) => (fetched = it))
    .catch(() => (fetched = 'failed'))
  await clock.advance(1000)
  must(
    'L2.7',
    JSON.stringify(fetched) === JSON.stringify({ packed, estate }),
    'one that lies keeps new voters from what others have',
  )
  const before = asked
  const liar = exchange.fetch(seal, [peer(1)], stop.signal).catch(() => undefined)
  await settle()
  must('L2.7', asked - before <= packed.pages.length, 'one that lies keeps its asker busy')
  stop.abort()
  await clock.advance(10)
  let isOver = false
  void liar.then(() => (isOver = true))
  await settle()
  must('L2.7', isOver, 'asks on after it was called off')
  const kept = new KeptEstates()
  for (let i = 0; i < 200; i++) kept.keep({ hash: Uint8Array.of(i), pages: [Uint8Array.of(i)] })
  must('L2.7', kept.page(Uint8Array.of(0), 0) === undefined, 'keeps what voters left at every change there ever was')
  must('L2.7', kept.page(Uint8Array.of(199), 0) !== undefined, 'does not keep what its successors ask for')
}

async function predecessorsGone({ must }: Report): Promise<void> {
  await inMesh({ voters: 1, admins: [1, 4] }, async (mesh, [first, second, third, fourth, holder]) => {
    const lease = await acquired(mesh, holder, 'w1')
    fourth.beforePublish = async () => isolate(mesh, first)
    must('L2.7', (await change(mesh, fourth, [2, 3])).ok, 'voters cannot be changed')
    await settle()
    isolate(mesh, holder)
    const view = second.leases.changes.view().grantsAgainInMs
    must('L2.7', view === null, 'waits although the proposer has what the voters before left')
    const word = await try_(mesh, third, 'w2')
    must('I1', word !== 'granted', `what the voters before promised is given to others: ${lease.leaseId}`)
    must('L2.7', word === 'held', `new voters wait for what the proposer has: ${word}`)
  })
  await inMesh({ voters: 1, admins: [1, 4] }, async (mesh, [first, second, third, fourth, holder]) => {
    await acquired(mesh, holder, 'w1')
    fourth.beforePublish = async () => {
      isolate(mesh, first)
      isolate(mesh, fourth)
    }
    await change(mesh, fourth, [2, 3])
    await mesh.clock.advance(20_000)
    must('I1', (await try_(mesh, third, 'w2')) === 'no_quorum', 'grants before it knows what was promised')
    await mesh.clock.advance(45_000)
    const waits = second.leases.changes.view().grantsAgainInMs ?? 0
    must('I1', waits > WAIT_OUT_MS - 10_000, `waits ${waits} ms for promises that it does not know`)
    await mesh.clock.advance(WAIT_OUT_MS)
    must('I6', (await try_(mesh, third, 'w2')) === 'granted', 'waits for ever for voters that are gone')
  })
  await inMesh({ voters: 1, admins: [1, 4] }, async (mesh, [first, second, , fourth, holder]) => {
    await acquired(mesh, holder, 'w1')
    await mesh.kill(first)
    const forced = await change(mesh, fourth, [2, 3], 'burnt down')
    must('L2.7', forced.ok, 'a mesh that has lost its voters is stuck')
    await settle()
    must('I1', second.leases.changes.view().grantsAgainInMs === WAIT_OUT_MS, 'a set installed by force grants at once')
    must('I1', (await try_(mesh, holder, 'w2')) === 'no_quorum', 'a set installed by force grants what others hold')
  })
}

async function proposerRemoved({ must }: Report): Promise<void> {
  await inMesh({ voters: 3, admins: [4, 5] }, async (mesh, [first, , , fourth, fifth]) => {
    await acceptedAlone(mesh, first, fourth, 2)
    mesh.removed.set(fourth.peer, new Map())
    await mesh.clock.advance(60_000)
    const epochs = [first, fifth].map(({ leases }) => leases.changes.view().epoch)
    must('I6', epochs.every((epoch) => epoch === 2) && !first.voter.sealedEpoch(), 'a voter stays sealed for ever')
  })
  await inMesh({ voters: 3, admins: [4] }, async (mesh, [first, , , fourth, fifth]) => {
    const before = first.disk.durable.length
    fourth.voter.submit(fifth.peer, { t: 'stalled', m: { epoch: 1 } }, () => undefined)
    await mesh.clock.advance(60_000)
    must('L2.7', first.disk.durable.length === before, 'whoever likes makes an admin outbid others')
  })
}

async function proposerGone({ must }: Report): Promise<void> {
  await inMesh({ voters: 3, admins: [1, 4] }, async (mesh, [first, second, , fourth, holder]) => {
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    fourth.beforePublish = () => new Promise(() => undefined)
    void fourth.leases.changes.set({ members: named([2, 3]) })
    await settle()
    must('L2.7', (await try_(mesh, first, 'w2', { resources: [path('b')] })) !== 'granted', 'grants in a sealed epoch')
    await mesh.kill(fourth)
    await mesh.clock.advance(30_000)
    must('I6', second.leases.changes.view().epoch === 2, 'a proposer that dies leaves the mesh without leases')
    must('I6', holder.leases.isValid(lease.leaseId), 'leases do not survive the death of a proposer')
  })
  await inMesh({ voters: 3, admins: [1, 4] }, async (mesh, [first, , , fourth]) => {
    fourth.beforePublish = () => new Promise(() => undefined)
    void fourth.leases.changes.set({ members: named([2, 3]) })
    await settle()
    await mesh.kill(fourth)
    const late = await change(mesh, first, [1])
    must('I7', !late.ok && late.error.code === 'superseded', 'an admin is told that those vote who do not')
  })
  await inMesh({ voters: 3, admins: [1, 4] }, async (mesh, [first, , , fourth]) => {
    const both = await timed(
      mesh,
      Promise.all([
        first.leases.changes.set({ members: named([1]) }),
        fourth.leases.changes.set({ members: named([4, 5]) }),
      ]),
    )
    const won = both.answer.filter(({ ok }) => ok).length
    must('I7', won === 1, `of two changes at once ${won} win`)
    const views = new Set(
      mesh.nodes.map(({ leases }) => JSON.stringify(leases.changes.view().voters.map(({ name }) => name))),
    )
    must('I7', views.size === 1, 'nodes differ about who votes')
  })
}

async function lostJournal({ must }: Report): Promise<void> {
  await inMesh({ voters: 1 }, async (mesh, [first, , , holder]) => {
    const lease = await acquired(mesh, holder, 'w1')
    first.disk.crash()
    ;(first.disk.durable as Uint8Array[]).splice(0)
    await mesh.restart(first)
    must('L2.11', first.voter.problem() !== undefined, 'a voter that has lost its journal says nothing of it')
    const word = await try_(mesh, mesh.nodes[1]!, 'w2')
    must('L2.11', word === 'no_quorum', `a voter votes that has forgotten its promises: ${word}, ${lease.leaseId}`)
  })
  await inMesh({ voters: 3 }, async (mesh, [first, second, third, holder]) => {
    third.disk.crash()
    ;(third.disk.durable as Uint8Array[]).splice(0)
    await mesh.restart(third)
    must('L2.11', (await change(mesh, first, [1, 2, 3])).ok, 'a voter with a new incarnation cannot be taken in')
    await settle()
    must('L2.11', third.voter.problem() === undefined, 'a voter that was taken in again does not vote')
    mesh.cut(second, holder)
    must(
      'L2.11',
      (await try_(mesh, holder, 'w1')) === 'granted',
      'the vote of a voter that was taken in again does not count',
    )
  })
}

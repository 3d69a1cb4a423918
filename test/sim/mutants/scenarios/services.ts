import type { FeedPosition } from '../../../../node/services/feeds/documents.ts'
import { acquireLease, type Acquisition } from '../../../../node/services/leases/lease-acquire.ts'
import { Attempts, type AttemptsDeps } from '../../../../node/services/leases/lease-attempts.ts'
import type { HeldLease, LeaseRefusal } from '../../../../node/services/leases/lease-service.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { packCertificate } from '../../../../protocols/lease/certificate.ts'
import type { Refused } from '../../../../protocols/lease/claimant.ts'
import { LEASES_PER_OWNER_MAX } from '../../../../protocols/lease/messages.ts'
import { decodeRecord } from '../../../../protocols/lease/records.ts'
import { DEFAULT_TIMINGS } from '../../../../protocols/lease/timings.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createSeededRandom } from '../../../support/identity.ts'
import { hex, path, peer, position, requestOf, signedBy } from '../../../support/lease-lab.ts'
import {
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'
import type { Report, Scenario } from '../scenario.ts'

export const serviceScenarios: readonly Scenario[] = [
  {
    id: 'disk-first',
    says: 'Nothing is promised before it is on disk, and nothing at all once the disk has failed.',
    run: diskFirst,
  },
  {
    id: 'shown-the-past',
    says: 'A node shows a voter that was rolled back what it has signed since.',
    run: shownThePast,
  },
  {
    id: 'acquire-and-fail',
    says: 'An attempt that fails leaves nothing behind, and answers in time.',
    run: acquireAndFail,
  },
  {
    id: 'token-learned',
    says: 'A node asks with a token above all it knows, and learns from refusals.',
    run: tokenLearned,
  },
  {
    id: 'holding',
    says: 'A lease is used until its release, its end, or the end of its hold, whatever comes first.',
    run: holding,
  },
  { id: 'sleeping-host', says: 'A host that slept asks before it goes on with its leases.', run: sleepingHost },
  {
    id: 'catching-up',
    says: 'A lease is handed over when the last write of the one before has arrived.',
    run: catchingUp,
  },
  {
    id: 'restarted-holder',
    says: 'A process goes on with a lease of the one before under new numbers, or not at all.',
    run: restartedHolder,
  },
  {
    id: 'waiting-for-a-holder',
    says: 'Whoever waits is answered in time, and hints wake only those who wait for a holder.',
    run: waiting,
  },
  {
    id: 'shown-certificates',
    says: 'What others show is verified against the set of its time, and watched for contradictions.',
    run: shownCertificates,
  },
]

type Nodes = [LeaseNode, LeaseNode, LeaseNode, LeaseNode]

async function inMesh(voters: number, run: (mesh: LeaseMesh, nodes: Nodes) => Promise<void>): Promise<void> {
  const mesh = await createLeaseMesh({ voters, nodes: 4 })
  try {
    await run(mesh, mesh.nodes as unknown as Nodes)
  } finally {
    await mesh.close()
  }
}

type Answer = Awaited<ReturnType<LeaseNode['leases']['acquire']>>
const try_ = async (mesh: LeaseMesh, node: LeaseNode, owner: string, fields: Parameters<typeof wanting>[2] = {}) =>
  await timed(mesh, node.leases.acquire(wanting(mesh, owner, fields)))
const whyOf = (answer: Answer): LeaseRefusal['why'] | 'granted' => (answer.ok ? 'granted' : answer.error.why)

async function diskFirst({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [founder, holder, other]) => {
    founder.disk.stall()
    const answer = holder.leases.acquire(wanting(mesh, 'w1'))
    await settle()
    must('I9', holder.leases.held().length === 0, 'a grant leaves before its record is on disk')
    founder.disk.crash()
    founder.disk.resume()
    await mesh.restart(founder)
    must('I9', (await try_(mesh, other, 'w2')).answer.ok, 'a grant that nobody saw is in the way')
    await mesh.clock.advance(4000)
    must('I1', !(await answer).ok, 'two hold the same since the voter forgot what it had granted')
  })
  await inMesh(1, async (mesh, [founder, holder]) => {
    founder.disk.breakDown(new Error('EIO'))
    await try_(mesh, holder, 'w1')
    must('I9', founder.voter.problem() !== undefined, 'a voter whose disk has failed says nothing of it')
    const unknown = requestOf({ by: 2, cid: new Uint8Array(32), lid: hex(77) })
    const answers: unknown[] = []
    founder.voter.submit(holder.peer, { t: 'request', m: unknown }, (message) => answers.push(message))
    await settle()
    must('I9', answers.length === 0, 'a voter answers on after its disk has failed')
  })
}

async function shownThePast({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [founder, holder]) => {
    for (const key of ['b', 'c']) await acquired(mesh, holder, 'w1', { resources: [path(key)] })
    founder.disk.crash()
    ;(founder.disk.durable as Uint8Array[]).splice(4) // what it knew after the first grant
    const before = founder.disk.durable.filter((bytes) => decodeRecord(bytes).t === 'grant').length
    await mesh.restart(founder)
    await mesh.clock.advance(500)
    const { answer } = await try_(mesh, holder, 'w2', { resources: [path('d')] })
    const isQuiet = before === 1 && whyOf(answer) === 'no_quorum' && /rolled back/.test(founder.voter.problem() ?? '')
    must(
      'L2.4.4',
      isQuiet,
      `a voter from an old copy of its disk votes on: ${whyOf(answer)}, ${founder.voter.problem()}`,
    )
  })
  await inMesh(1, async (mesh, [founder, holder, , hostile]) => {
    await acquired(mesh, holder, 'w1', { resources: [path('b')] })
    const record = decodeRecord(founder.disk.durable[0]!)
    const inc = record.t === 'init' ? record.inc : ''
    const { cid } = holder.leases.held()[0]!.certificate.req.body
    const lie = requestOf({ by: 4, cid, n: 9, lid: hex(9), seen: { [`${founder.peer}/${inc}`]: 1000 } })
    const answers: string[] = []
    founder.voter.submit(hostile.peer, { t: 'request', m: lie }, ({ t }) => answers.push(t))
    await settle()
    must(
      'L2.4.4',
      answers.join() === 'prove' && founder.voter.problem() === undefined,
      'a bare number puts a voter out of service',
    )
  })
}

async function acquireAndFail({ must }: Report): Promise<void> {
  await inMesh(3, async (mesh, [first, second, third, holder]) => {
    mesh.cut(second, holder)
    mesh.cut(third, holder)
    const { answer, ms } = await try_(mesh, holder, 'w1', { waitMs: 20_000 })
    must(
      'L2.5',
      whyOf(answer) === 'no_quorum' && ms <= 3000,
      `silent voters are waited for: ${whyOf(answer)} after ${ms} ms`,
    )
    mesh.cut(first, third)
    must('L2.5', (await try_(mesh, first, 'w2')).answer.ok, 'an attempt that failed is still in the way')
  })
  await inMesh(1, async (mesh, [, holder]) => {
    const many = Array.from({ length: 513 }, (_, i) => path(`f${i}`))
    const long = Array.from({ length: 512 }, (_, i) => path(`${i}${'x'.repeat(1000)}`))
    for (const resources of [many, long]) {
      const { answer } = await try_(mesh, holder, 'w1', { resources })
      must('L2.4.1', whyOf(answer) === 'limit', `asks for what no message can carry: ${whyOf(answer)}`)
    }
    for (const resources of [[], [path('a/../b')]]) {
      const asking = holder.leases.acquire(wanting(mesh, 'w1', { resources })).catch((error: unknown) => error)
      const { answer: asked } = await timed(mesh, asking)
      must('L2.9', asked instanceof TypeError, 'asks for what voters refuse without a useful word')
    }
    await holder.leases.close()
    let closed: Answer | undefined
    void holder.leases.acquire(wanting(mesh, 'w1')).then((answer) => (closed = answer))
    await settle()
    must('L2.5', closed !== undefined && !closed.ok, 'asks after it was closed')
  })
  const attempts = new Attempts({
    claims: { count: LEASES_PER_OWNER_MAX },
    random: createSeededRandom(1),
  } as unknown as AttemptsDeps)
  const steps = attempts.for({
    resources: [path('a')],
    owner: 'w',
    info: { instanceId: 'w', untilMs: 0 },
    holdUntilMs: 0,
    waitMs: 0,
  })
  const word = await steps.attempt(1000, false).catch(() => ({ is: 'asked' }))
  must('L2.4.1', word.is === 'limit', 'asks for more leases than voters give to one node')

  const hasty: boolean[] = []
  const stale = { why: 'stale' } as Refused
  const context = contextOf({
    async attempt(_limitMs, isHasty) {
      if (hasty.push(isHasty) > 10) return { is: 'limit' }
      return isHasty
        ? { is: 'refused', denies: [stale], silent: [] }
        : { is: 'certified', lease: { leaseId: 'a' } as HeldLease }
    },
  })
  must(
    'L2.5',
    (await acquireLease(context, 0)).ok && hasty.length === 3,
    'one voter that is never content stops all attempts',
  )
  const back: string[] = []
  const lapsed = contextOf({
    attempt: async () => ({ is: 'certified', lease: { leaseId: 'a' } as HeldLease }),
    isValid: () => false,
    giveBack: ({ leaseId }) => back.push(leaseId),
  })
  must(
    'I1',
    !(await acquireLease(lapsed, 0)).ok && back.length === 1,
    'hands out a lease that has lapsed while it was caught up',
  )
}

const contextOf = (fields: Partial<Acquisition>): Acquisition => ({
  clock: createManualClock(),
  random: createSeededRandom(1),
  timings: DEFAULT_TIMINGS,
  quorum: () => 2,
  closing: new AbortController().signal,
  attempt: async () => ({ is: 'limit' }),
  pause: async () => undefined,
  pauseUntilFree: async () => undefined,
  missingAuthor: async () => undefined,
  giveBack: () => undefined,
  isValid: () => true,
  ...fields,
})

async function tokenLearned({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [, holder, other]) => {
    let last = 0
    for (const node of [holder, holder, other, other, holder]) {
      const startMs = mesh.clock.monoMs()
      const { answer } = await try_(mesh, node, 'w')
      must(
        'L2.5',
        answer.ok && mesh.clock.monoMs() - startMs <= 100,
        'a token that is too low is not corrected at once',
      )
      if (!answer.ok) return
      must('I2', answer.value.fencingToken > last, 'a token comes again')
      last = answer.value.fencingToken
      await node.leases.release(answer.value.leaseId)
      await settle()
    }
  })
}

async function holding({ must }: Report): Promise<void> {
  await inMesh(3, async (mesh, [first, second, , holder]) => {
    const ended: string[] = []
    holder.leases.onEnd((_lease, why) => ended.push(why))
    const lease = await acquired(mesh, holder, 'w1')
    mesh.cut(first, holder)
    mesh.cut(second, holder)
    await holder.leases.release(lease.leaseId)
    must('I1', !holder.leases.isValid(lease.leaseId), 'is used after its release')
    mesh.join(first, holder)
    mesh.join(second, holder)
    await mesh.clock.advance(1000)
    must('L2.5', (await try_(mesh, first, 'w2')).answer.ok, 'voters that were away do not hear of a release')
    must('L2.5', ended.length === 0, 'tells of the end of what was released')
  })
  await inMesh(1, async (mesh, [founder, holder]) => {
    const ended: string[] = []
    holder.leases.onEnd((_lease, why) => ended.push(why))
    const endMs = mesh.clock.wallMs() + 30_000
    const lease = await acquired(mesh, holder, 'w1', { holdUntilMs: endMs })
    await mesh.clock.advance(29_999)
    must('L2.5', holder.leases.isValid(lease.leaseId), 'a hold ends too soon')
    mesh.clock.stepWall(-20_000)
    must('L2.5', holder.leases.isValid(lease.leaseId), 'a wall clock that is set back ends a hold')
    await mesh.clock.advance(1)
    must('L2.5', !holder.leases.isValid(lease.leaseId), 'is used beyond its hold')
    must('L2.5', ended.join() === 'expired', 'nobody is told that the hold has ended')
    must('L2.5', !holder.leases.extend(lease.leaseId, endMs + 60_000), 'what has ended is extended')
    must('L2.5', (await try_(mesh, founder, 'w2')).answer.ok, 'what has ended blocks others')
    const long = await acquired(mesh, holder, 'w3', {
      resources: [path('b')],
      holdUntilMs: mesh.clock.wallMs() + 2 ** 33,
    })
    await mesh.clock.advance(3_700_000)
    must('L2.5', holder.leases.isValid(long.leaseId), 'a long hold ends with the longest timer')
    mesh.clock.suspend(70_000)
    must('I1', !holder.leases.extend(long.leaseId, mesh.clock.wallMs() + 2 ** 33), 'what has lapsed is extended')
  })
}

async function sleepingHost({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [, holder]) => {
    const lease = await acquired(mesh, holder, 'w1', { holdUntilMs: mesh.clock.wallMs() + 9_000_000 })
    await mesh.clock.advance(5000)
    mesh.clock.suspend(120_000)
    must('I1', !holder.leases.isValid(lease.leaseId), 'is used after a sleep without asking')
    await mesh.clock.advance(1000)
    must('L2.5', holder.leases.isValid(lease.leaseId), 'nobody notices that the host has slept')
  })
  await inMesh(1, async (mesh, [founder, holder, other]) => {
    const ended: string[] = []
    holder.leases.onEnd((_lease, why) => ended.push(why))
    await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    mesh.cut(founder, holder)
    await mesh.clock.advance(100_000)
    must('L2.5', ended.join() === 'lost' && holder.leases.held().length === 0, 'a lease that is lost is kept')
    must('L2.5', (await try_(mesh, other, 'w2')).answer.ok, 'a lease that is lost blocks others')
  })
}

async function catchingUp({ must }: Report): Promise<void> {
  const never = (_at: FeedPosition, signal: AbortSignal): Promise<boolean> =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve(false), { once: true }))
  await inMesh(1, async (mesh, [, holder, other, third]) => {
    const lease = await acquired(mesh, holder, 'w1')
    await holder.leases.release(lease.leaseId, position(2, 41))
    await settle()
    other.reached = never
    const { answer, ms } = await try_(mesh, other, 'w2')
    must(
      'L2.4',
      whyOf(answer) === 'behind' && ms <= 2050,
      `acts on a state older than the last write: ${whyOf(answer)}`,
    )
    must('L2.5', (await try_(mesh, third, 'w3')).answer.ok, 'what was not handed over is not given back')
  })
  await inMesh(1, async (mesh, [, holder, other]) => {
    const lease = await acquired(mesh, holder, 'w1')
    await holder.leases.release(lease.leaseId, position(2, 41))
    await settle()
    const asked: number[] = []
    other.reached = async ({ seq }) => (asked.push(seq), true)
    mesh.removed.set(holder.peer, new Map([[position(2, 0).doc, { seq: 7, hash: new Uint8Array(32) }]]))
    await try_(mesh, other, 'w2')
    must('M7', asked.join() === '7', `waits for what a removed author wrote beyond its end: ${asked.join()}`)
  })
}

async function restartedHolder({ must }: Report): Promise<void> {
  const until = (mesh: LeaseMesh) => mesh.clock.wallMs() + 600_000
  await inMesh(1, async (mesh, [founder, holder]) => {
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.clock.advance(5000)
    await mesh.restart(holder)
    must('I1', !holder.leases.isValid(lease.leaseId), 'a lease of before the restart is used without asking')
    const { answer } = await timed(mesh, holder.leases.resume(lease.certificate, until(mesh)))
    must('L2.11', answer, 'a lease of before the restart does not go on')
    await mesh.clock.advance(120_000)
    must('L2.11', holder.leases.isValid(lease.leaseId), 'a lease of before the restart is not renewed')
    const seqs = founder.disk.durable.flatMap((bytes) => {
      const record = decodeRecord(bytes)
      return record.t === 'grant' || record.t === 'renew' ? [record.seq] : []
    })
    must('L2.11', new Set(seqs).size === seqs.length, 'a sequence number comes again after a restart')
    const next = await acquired(mesh, holder, 'w1', { resources: [path('z')] })
    must('L2.7', next.fencingToken > lease.fencingToken, 'a token comes again after a restart')
  })
  await inMesh(3, async (mesh, [, second, third, holder]) => {
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.restart(holder)
    mesh.cut(second, holder)
    mesh.cut(third, holder)
    const { answer } = await timed(mesh, holder.leases.resume(lease.certificate, until(mesh)), 60_000)
    must('I2b', !answer && holder.leases.held().length === 0, 'a lease goes on that only one voter knows')
    mesh.cut(second, third)
    must('L2.5', (await try_(mesh, second, 'w2')).answer.ok, 'what could not be resumed blocks others')
  })
}

async function waiting({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [, holder, other]) => {
    const lease = await acquired(mesh, holder, 'w1')
    const { answer, ms } = await try_(mesh, other, 'w2', { waitMs: 5000 })
    must('L2.5', whyOf(answer) === 'held' && ms >= 5000 && ms <= 8000, `waits ${ms} ms where 5000 were allowed`)
    const woken = other.leases.acquire(wanting(mesh, 'w2', { waitMs: 60_000 }))
    await mesh.clock.advance(20_000)
    await holder.leases.release(lease.leaseId)
    await settle()
    let isDone = false
    void woken.then(() => (isDone = true))
    await settle()
    must('L2.5', isDone, 'is not woken by the release')
    await timed(mesh, woken)
  })
  await inMesh(1, async (mesh, [, holder, other]) => {
    await acquired(mesh, holder, 'w1')
    const waits = other.leases.acquire(wanting(mesh, 'w2', { waitMs: 60_000 }))
    await settle()
    await other.leases.close()
    let isDone = false
    void waits.then(() => (isDone = true))
    await settle()
    must('L2.5', isDone, 'whoever waits is left waiting when the node closes')
  })
  const hints: string[] = []
  const by = { owner: 'x', node: peer(3), lid: hex(3), info: { instanceId: 'x', untilMs: 0 }, res: [] }
  const conflict = (lid: string): Refused => ({ why: 'conflict', by: { ...by, lid } }) as unknown as Refused
  const clock = createManualClock()
  let rounds = 0
  const split = contextOf({
    clock,
    attempt: async () =>
      rounds++ > 3 ? { is: 'limit' } : { is: 'refused', denies: [conflict(hex(1)), conflict(hex(2))], silent: [] },
    pause: async () => void hints.push('time'),
    pauseUntilFree: async () => void hints.push('hint'),
  })
  await acquireLease(split, 0)
  must('L2.5', !hints.includes('hint'), 'rivals that split the votes wake each other for ever')
  must('L2.5', hints.length > 0, 'gives up when the votes are split among newcomers')
}

async function shownCertificates({ must }: Report): Promise<void> {
  const mesh = await createLeaseMesh({ voters: 3, nodes: 5 })
  const [, , , fourth] = mesh.nodes as unknown as Nodes
  const incarnationOf = (n: number): string => {
    const record = decodeRecord(mesh.nodes[n - 1]!.disk.durable[0]!)
    return record.t === 'init' ? record.inc : ''
  }
  const { certificate } = await acquired(mesh, fourth, 'w1')
  const { epoch, cid, token } = certificate.req.body
  const req = requestOf({ by: 5, epoch, cid, token: { epoch, n: token.n + 1 }, lid: hex(77) })
  const grantBy = (n: number, vseq: number, signer = n) => {
    const { space, lid, seq, token, ttl } = req.body
    const names = { voter: peer(n), inc: incarnationOf(n), reqHash: req.hash }
    return signedBy(signer, 'grant', {
      v: 1 as const,
      space,
      epoch,
      lid,
      seq,
      token,
      ttl,
      ...names,
      vseq,
      first: vseq,
      after: [],
    })
  }
  const shown = (...grants: ReturnType<typeof grantBy>[]) =>
    fourth.leases.verified(encodeCanonical(packCertificate({ req, grants })))
  must('L2.10', shown(grantBy(1, 1, 2), grantBy(2, 900)) === undefined, 'a forged certificate is verified')
  await settle()
  must('L2.12', mesh.voterFaults.length === 0, 'a voter is convicted by what another forged')
  for (let i = 0; i < 3; i++) {
    must('L2.10', shown(grantBy(1, 1), grantBy(2, 900)) !== undefined, 'a good certificate is not verified')
    await settle()
  }
  must('L2.12', mesh.voterFaults.length === 1, `a contradiction is written down ${mesh.voterFaults.length} times`)
  const problems = fourth.leases.changes.view().voters.filter(({ problem }) => problem !== null)
  must('L2.12', problems.map(({ name }) => name).join() === 'node-1', 'nobody is told which voter is excluded')
  mesh.cut(mesh.nodes[2]!, mesh.nodes[4]!)
  const { answer } = await try_(mesh, mesh.nodes[4]!, 'w2', { resources: [path('b')] })
  must('L2.12', whyOf(answer) === 'no_quorum', 'a convicted voter counts')
  await mesh.close()
}

import type { Channel, PeerNetwork } from '../../../../node/ports/peer-network.ts'
import type { EstateExchange } from '../../../../node/services/leases/estate-exchange.ts'
import { Claims, type RunningClaim } from '../../../../node/services/leases/lease-claims.ts'
import { createFrameWriter, OUTBOX_MAX } from '../../../../node/services/leases/lease-frames.ts'
import { HeldLeases } from '../../../../node/services/leases/lease-held.ts'
import { createLeaseLinks } from '../../../../node/services/leases/lease-links.ts'
import type { Outbox } from '../../../../node/services/leases/lease-outbox.ts'
import type { HeldLease } from '../../../../node/services/leases/lease-service.ts'
import { prepareVoterJournal } from '../../../../node/services/leases/lease-voter.ts'
import { VoterAdoption } from '../../../../node/services/leases/voter-adoption.ts'
import { IN_FLIGHT_PER_MEMBER_MAX, MESSAGES_PER_SECOND_MAX } from '../../../../node/services/leases/voter-server.ts'
import { voterSetOf } from '../../../../protocols/lease/config.ts'
import type { Estate } from '../../../../protocols/lease/estate.ts'
import {
  decodeFrame,
  encodeMessage,
  MESSAGES_PER_FRAME_MAX,
  takeFrame,
  type LeaseMessage,
} from '../../../../protocols/lease/frame.ts'
import { LEASE_PROTOCOL } from '../../../../protocols/lease/messages.ts'
import { encodeRecord } from '../../../../protocols/lease/records.ts'
import { DEFAULT_TIMINGS } from '../../../../protocols/lease/timings.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createSeededRandom } from '../../../support/identity.ts'
import { configOf, hex, path, peer, requestOf, signaturesOf } from '../../../support/lease-lab.ts'
import {
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'
import { createSimDisk } from '../../../support/lease-sim-journal.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { acceptOf, ballotOf, sealedEpoch, sealOf, successorOf } from '../../../support/succession-lab.ts'
import type { Report, Scenario } from '../scenario.ts'

export const wireScenarios: readonly Scenario[] = [
  {
    id: 'hostile-wire',
    says: 'A member that floods, lies or does not read hurts nobody but itself.',
    run: hostileWire,
  },
  {
    id: 'unreachable-voter',
    says: 'A voter that cannot be reached costs bounded memory, and is reached again.',
    run: unreachable,
  },
  { id: 'settled-answers', says: 'A grant that is on disk is sent again to whoever asks again.', run: settledAnswers },
  { id: 'journal-compaction', says: 'A journal is compacted when it has grown.', run: journalCompaction },
  { id: 'same-incarnation', says: 'Two journals never have one incarnation.', run: sameIncarnation },
  { id: 'restarted-voter', says: 'A voter keeps its incarnation over restarts.', run: restartedVoter },
  {
    id: 'late-voter',
    says: 'A voter that starts in an epoch it does not know asks what was promised.',
    run: lateVoter,
  },
  {
    id: 'estates-of-a-quorum',
    says: 'A voter enters an epoch with what as many left as had to agree.',
    run: estatesOfAQuorum,
  },
  {
    id: 'claims',
    says: 'A claim that is over costs nothing any more, and tokens that are known stay known.',
    run: claimsEnd,
  },
  { id: 'end-of-a-hold', says: 'A hold ends at its time, not when its timer runs.', run: endOfAHold },
]

async function inMesh(
  voters: number,
  run: (mesh: LeaseMesh, nodes: readonly LeaseNode[]) => Promise<void>,
): Promise<void> {
  const mesh = await createLeaseMesh({ voters, nodes: 4, admins: [1, 4] })
  try {
    await run(mesh, mesh.nodes)
  } finally {
    await mesh.close()
  }
}

async function openRaw(from: LeaseNode, to: LeaseNode) {
  const channel = await from.network.open(to.peer, LEASE_PROTOCOL, new AbortController().signal)
  const received: LeaseMessage[] = []
  let isAborted = false
  void (async () => {
    for await (const frame of channel.frames) received.push(...decodeFrame(signaturesOf(40), frame))
  })().catch(() => (isAborted = true))
  return { channel, received, isAborted: () => isAborted }
}

async function hostileWire({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [founder, holder, , hostile]) => {
    const { cid } = (await acquired(mesh, holder!, 'w1', { resources: [path('own')] })).certificate.req.body
    const raw = await openRaw(hostile!, founder!)
    await raw.channel.send(Uint8Array.of(1, 2, 3))
    await settle()
    must('L2.4.1', raw.isAborted(), 'whoever sends garbage is listened to')
    const set = { ...voterSetOf(configOf(1)), cid }
    const again = await openRaw(holder!, founder!)
    const twice = acceptOf(set, ballotOf(1), successorOf(set, [4, 4]))
    await again.channel.send(takeFrame([encodeMessage({ t: 'accept', m: twice })])).catch(() => undefined)
    await settle()
    must('L2.4.1', founder!.voter.problem() === undefined, 'a configuration that cannot be read stops the voter')
  })
  await inMesh(1, async (mesh, [founder, holder, , hostile]) => {
    const { cid } = (await acquired(mesh, holder!, 'w1', { resources: [path('own')] })).certificate.req.body
    const raw = await openRaw(hostile!, founder!)
    const before = founder!.disk.syncs
    founder!.disk.stall()
    const count = 4 * IN_FLIGHT_PER_MEMBER_MAX
    const queue = Array.from({ length: count }, (_, i) =>
      encodeMessage({ t: 'request', m: requestOf({ by: 4, cid, lid: hex(i), n: 9, res: [path(`f${i}`)] }) }),
    )
    while (queue.length > 0) await raw.channel.send(takeFrame(queue))
    await settle()
    founder!.disk.resume()
    for (let i = 0; i < 100 && raw.received.length < count; i++) await settle()
    const syncs = founder!.disk.syncs - before
    must('L2.4.1', syncs === 4, `${count} requests of one member wait at once: they share ${syncs} syncs`)
  })
  await inMesh(1, async (_mesh, [founder, , , hostile]) => {
    const raw = await openRaw(hostile!, founder!)
    const ask = encodeMessage({ t: 'ask', m: {} })
    void (async () => {
      for (let sent = 0; sent < MESSAGES_PER_SECOND_MAX + 640; sent += 64) {
        await raw.channel.send(takeFrame(Array.from({ length: 64 }, () => ask)))
        if (sent % 6400 === 0) await settle()
      }
    })().catch(() => undefined)
    for (let i = 0; i < 1000 && raw.received.length < MESSAGES_PER_SECOND_MAX; i++) await settle()
    for (let i = 0; i < 20; i++) await settle()
    must(
      'L2.4.1',
      raw.received.length === MESSAGES_PER_SECOND_MAX,
      `a member is served ${raw.received.length} messages a second`,
    )
  })
  let isAborted = false
  const deaf = { send: () => new Promise(() => undefined), abort: () => (isAborted = true) } as unknown as Channel
  const write = createFrameWriter(deaf, createManualClock())
  for (let i = 0; i < MESSAGES_PER_FRAME_MAX + OUTBOX_MAX + 2; i++) write(new Uint8Array(1))
  must('A-D1', isAborted, 'answers to a peer that does not read pile up')
}

async function unreachable({ must }: Report): Promise<void> {
  const clock = createManualClock()
  const sent: Uint8Array[] = []
  const channels: { fail: (error: Error) => void }[] = []
  let isUp = false
  let aborts = 0
  let opens = 0
  const network = {
    self: peer(1),
    open: async (_peer: unknown, _protocol: unknown, signal: AbortSignal) => {
      opens += 1
      for (; !isUp; await new Promise((resolve) => setImmediate(resolve))) signal.throwIfAborted()
      const ended = Promise.withResolvers<never>()
      channels.push({ fail: ended.reject })
      return {
        send: async (frame: Uint8Array) => void sent.push(frame),
        abort: () => void (aborts += 1),
        frames: (async function* () {
          yield await ended.promise
        })(),
      }
    },
  } as unknown as PeerNetwork
  const links = createLeaseLinks({
    network,
    signatures: signaturesOf(1),
    clock,
    log: createRecordedLog(),
    local: undefined,
    openTimeoutMs: 5000,
    onMessage: () => undefined,
  })
  const counted = (): number => sent.splice(0).reduce((n, frame) => n + decodeFrame(signaturesOf(1), frame).length, 0)
  for (let i = 0; i < 2000; i++) links.send([peer(2)], { t: 'ask', m: {} })
  isUp = true
  for (let i = 0; i < 10; i++) await settle()
  const waited = counted()
  must(
    'A-D1',
    waited <= OUTBOX_MAX && aborts === 0,
    `more than ${OUTBOX_MAX} messages wait for a voter that does not answer`,
  )
  channels[0]?.fail(new Error('gone'))
  await settle()
  links.send([peer(2)], { t: 'ask', m: {} })
  await settle()
  must('A-D1', opens === 2 && counted() === 1, 'a voter whose connection broke is never reached again')
  channels[1]?.fail(new Error('gone'))
  await settle()
  isUp = false
  links.send([peer(2)], { t: 'ask', m: {} })
  await clock.advance(5000)
  await settle()
  isUp = true
  links.send([peer(2)], { t: 'ask', m: {} })
  await settle()
  must('A-D1', opens === 4, 'a voter that was hung up for a while is never asked anew')
  const closing = links.close()
  for (const { fail } of channels) fail(new Error('closed'))
  await closing
  links.send([peer(2)], { t: 'ask', m: {} })
  await settle()
  must('A-D1', opens === 4, 'a node that has closed opens channels')
}

async function settledAnswers({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [founder, holder]) => {
    const { cid } = (await acquired(mesh, holder!, 'w1', { resources: [path('own')] })).certificate.req.body
    const request = requestOf({ by: 3, cid, n: 9, lid: hex(3) })
    const words: string[] = []
    for (let i = 0; i < 2; i++) {
      founder!.voter.submit(peer(3), { t: 'request', m: request }, ({ t }) => words.push(t))
      await settle()
    }
    must('L2.4.6', words.join() === 'grant,grant', `whoever lost its grant hears ${words.join()}`)
  })
}

async function journalCompaction({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [founder]) => {
    const records = founder!.disk.durable as Uint8Array[]
    for (let i = 0; i < 4096; i++) records.push(encodeRecord({ t: 'rel', node: peer(2), lid: hex(1000 + i) }))
    await mesh.restart(founder!)
    await acquired(mesh, founder!, 'w')
    await settle()
    const { length } = founder!.disk.durable
    must('L2.4', length < 1100, `the journal has ${length} records of which most have no effect`)
  })
}

async function sameIncarnation({ must }: Report): Promise<void> {
  const random = createSeededRandom(3)
  const [one, two] = [
    await prepareVoterJournal(createSimDisk().open(), random),
    await prepareVoterJournal(createSimDisk().open(), random),
  ]
  must('L2.11', one !== two, 'a voter that lost its journal comes back under the same incarnation')
}

async function restartedVoter({ must }: Report): Promise<void> {
  const random = createSeededRandom(3)
  const disk = createSimDisk()
  const inc = await prepareVoterJournal(disk.open(), random)
  disk.crash()
  must(
    'L2.11',
    (await prepareVoterJournal(disk.open(), random)) === inc,
    'a voter has another incarnation after each start',
  )
}

async function lateVoter({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [first, second, third, fourth]) => {
    await acquired(mesh, fourth!, 'w1')
    fourth!.beforePublish = async () => {
      for (const gone of [first!, fourth!]) for (const other of mesh.nodes) if (other !== gone) mesh.cut(gone, other)
    }
    await timed(mesh, fourth!.leases.changes.set({ members: ['node-2', 'node-3'] }), 60_000)
    await mesh.restart(second!)
    await mesh.restart(third!)
    const { answer } = await timed(mesh, third!.leases.acquire(wanting(mesh, 'w2')))
    must('I1', !answer.ok, 'a voter that starts in a new epoch grants what was promised before')
  })
}

async function estatesOfAQuorum({ must }: Report): Promise<void> {
  const first = voterSetOf(configOf(3))
  const next = successorOf(first, [4])
  const epoch = sealedEpoch(
    next,
    [1, 2, 3].map((n) => sealOf(first, next, n)),
  )
  let adopted: readonly Estate[] | 'time' | undefined
  const answers: (() => void)[] = []
  const adoption = new VoterAdoption({
    sets: { current: () => epoch, find: () => ({ set: first, origin: { is: 'founded' } }), isConvicted: () => false },
    voter: {
      needs: () => (adopted ? undefined : 'estates'),
      adopt: async (_epoch: unknown, estates: typeof adopted) =>
        void (adopted = estates === 'time' || !estates ? estates : [...estates]),
      keepEstate: () => undefined,
    } as never,
    exchange: {
      fetch: async () => {
        await new Promise<void>((resolve) => answers.push(resolve))
        return { packed: { hash: new Uint8Array(32), pages: [] }, estate: { grants: [], after: [] } }
      },
    } as unknown as EstateExchange,
    clock: createManualClock(),
    log: createRecordedLog(),
    closing: new AbortController().signal,
  })
  adoption.catchUp()
  for (const answer of answers.slice(0, 2)) {
    must('I1', adopted === undefined, 'enters an epoch with what one of three voters left')
    answer()
    await settle()
  }
  must('I6', adopted !== undefined && adopted.length === 2, 'waits for more voters than have to agree')
}

async function endOfAHold({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [, holder]) => {
    const lease = await acquired(mesh, holder!, 'w1', { holdUntilMs: mesh.clock.wallMs() + 1000 })
    mesh.clock.suspend(1500)
    must('L2.5', !holder!.leases.isValid(lease.leaseId), 'a lease is used between the end of its hold and the timer')
  })
  const clock = createManualClock()
  const delays: number[] = []
  const log = createRecordedLog()
  const leases = new HeldLeases({
    clock: { ...clock, after: (ms, task) => (delays.push(ms), clock.after(Math.min(ms, 2 ** 31 - 1), task)) },
    log,
  })
  const running = { release: () => undefined, claim: {} } as unknown as RunningClaim
  leases.add({ leaseId: 'a' } as HeldLease, running, clock.wallMs() + 2 ** 33)
  must('L2.5', Math.max(...delays) < 2 ** 31, 'a timer is longer than hosts can set')
  const told: string[] = []
  leases.onEnd(() => {
    throw new Error('no')
  })
  leases.onEnd(({ leaseId }) => told.push(leaseId))
  try {
    leases.lose('a')
  } catch {
    told.push('stopped')
  }
  must('L2.5', told.join() === 'a', 'one listener that fails keeps others from learning of the end')
}

async function claimsEnd({ must }: Report): Promise<void> {
  const posted: string[] = []
  const clock = createManualClock()
  const claims = new Claims({
    signatures: signaturesOf(1),
    outbox: { post: () => undefined } as unknown as Outbox,
    send: (_to, { t }) => posted.push(t),
    voters: () => voterSetOf(configOf(1)),
    isExcluded: () => false,
    clock,
    random: createSeededRandom(1),
    timings: DEFAULT_TIMINGS,
    onGrant: () => undefined,
  })
  const spec = { lid: hex(1), firstSeq: 0, owner: 'x', info: { instanceId: 'x', untilMs: 0 }, res: [path('a')] }
  const running = claims.start({ ...spec, token: { epoch: 1, n: 1 } }, () => undefined)
  await settle()
  running.release()
  running.release()
  must('L2.5', posted.filter((t) => t === 'release').length === 1, 'one release is sent over and over')
  must('L2.5', claims.count === 0, 'a claim that is over counts against the limit')
  claims.learnToken(9)
  claims.learnToken(3)
  must('I2', claims.nextToken() === 10, 'a token that is known is forgotten')
  claims.close()
}

import { encodeCanonical } from '../../../../protocols/codec.ts'
import { decodeFrame } from '../../../../protocols/lease/frame.ts'
import { patternCover } from '../../../../protocols/lease/path-patterns.ts'
import { areNormalised } from '../../../../protocols/lease/resources.ts'
import { Signatures } from '../../../../protocols/lease/signing.ts'
import type { Voter } from '../../../../protocols/lease/voter.ts'
import { acquireLease, type Acquisition } from '../../../../node/services/leases/lease-acquire.ts'
import { Attempts, type AttemptsDeps } from '../../../../node/services/leases/lease-attempts.ts'
import { BATCH_MAX, COMPACT_AFTER_RECORDS, VoterLoop } from '../../../../node/services/leases/lease-voter-loop.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createSeededRandom } from '../../../support/identity.ts'
import {
  hex,
  keysOf,
  path,
  peer,
  position,
  releaseOf,
  requestOf,
  signaturesOf,
  VoterLab,
} from '../../../support/lease-lab.ts'
import {
  acquired,
  createLeaseMesh,
  timed,
  wanting,
  type LeaseMesh,
  type LeaseNode,
} from '../../../support/lease-mesh.ts'
import { createRecordedLog } from '../../../support/log.ts'
import type { Report, Scenario } from '../scenario.ts'

export const leaseEdgeScenarios: readonly Scenario[] = [
  { id: 'later-words', says: 'What a later release says is passed over, what makes no sense is not.', run: laterWords },
  { id: 'checked-roots', says: 'A batch is checked once, and forgotten when there are many.', run: checkedRoots },
  { id: 'ends-in-any-order', says: 'Every promise ends at its time, whatever ended before.', run: endsInAnyOrder },
  { id: 'newest-writes', says: 'Of many last writes the newest are waited for.', run: newestWrites },
  {
    id: 'early-words',
    says: 'A hint is heard whenever it comes, and a limit is no reason to ask again.',
    run: earlyWords,
  },
  { id: 'closing-node', says: 'A node that closes answers all who wait.', run: closingNode },
  { id: 'busy-voter', says: 'A voter syncs after so many decisions, and compacts when it is of use.', run: busyVoter },
  { id: 'called-off', says: 'A change of voters that was called off, or is over, goes no further.', run: calledOff },
]

const failed = (run: () => unknown): boolean => {
  try {
    run()
    return false
  } catch {
    return true
  }
}

function laterWords({ must }: Report): void {
  const frame = (message: object): Uint8Array => encodeCanonical([encodeCanonical(message)])
  const isRefused = (message: object): boolean => failed(() => decodeFrame(signaturesOf(1), frame(message)))
  must('M18', !isRefused({ t: 'later', m: {} }), 'a word of a later release ends the channel')
  must(
    'L2.4.1',
    isRefused({ t: 'deny', m: {} }) && isRefused({ t: 'grant', m: {} }),
    'a word that makes no sense is passed over',
  )

  const cover = (pattern: string): string | undefined => {
    const covered = patternCover(pattern)
    return covered.ok ? covered.value : undefined
  }
  for (const [pattern, covered] of [
    ['a/[bc]/*', 'a'],
    ['a/{b,c}/*', 'a'],
    ['a/b?/*', 'a'],
    ['a/(b|c)/*', 'a'],
    ['a/b/*.ts', 'a/b'],
    ['*', ''],
  ]) {
    must('L2.9', cover(pattern!) === covered, `${pattern} is covered by ${cover(pattern!)}`)
  }
  for (const pattern of ['a/{..,b}/*', 'a/(..|b)/*', 'a/*/{b,..}'])
    must('L2.9', cover(pattern) === undefined, `${pattern} is in its project`)
  const deep = (levels: number): boolean => areNormalised([path(Array.from({ length: levels }, () => 'x').join('/'))])
  must('L2.4.1', deep(65) && !deep(66), 'a key costs a voter any number of entries')
}

function checkedRoots({ must }: Report): void {
  const keys = keysOf(40)
  let checks = 0
  const verify: typeof keys.crypto.verify = (...what) => (checks++, keys.crypto.verify(...what))
  const reader = new Signatures({
    ...keys,
    crypto: { ...keys.crypto, sha256: (data) => keys.crypto.sha256(data), verify },
  })
  const author = signaturesOf(1)
  const drafts = Array.from({ length: 8 }, (_, i) => author.draft('grant', { i }))
  const seals = author.seal(drafts)
  for (const [i, draft] of drafts.entries()) reader.isSignedBy(peer(1), { ...draft, seal: seals[i]! })
  must('L2.4', checks === 1, `${checks} signatures are checked of one batch`)
  for (let i = 0; i < 1100; i++) reader.isSignedBy(peer(1), author.sign('grant', { i, alone: true }))
  checks = 0
  reader.isSignedBy(peer(1), { ...drafts[0]!, seal: seals[0]! })
  must('L2.4', checks === 1, 'every signature that was ever checked is kept')
}

function endsInAnyOrder({ must }: Report): void {
  const lab = new VoterLab()
  lab.ask(requestOf({ res: [path('a')] }))
  lab.nowMs = 5000
  lab.ask(requestOf({ by: 22, n: 2, res: [path('b')] }))
  lab.nowMs = 10_000
  must(
    'I6',
    lab.answer(requestOf({ by: 23, n: 3, lid: hex(31), res: [path('a')] })) === 'grant',
    'a promise never ends',
  )
  lab.nowMs = 15_000
  must(
    'I6',
    lab.answer(requestOf({ by: 23, n: 4, lid: hex(32), res: [path('b')] })) === 'grant',
    'the promise after the first never ends',
  )
  lab.restart()
  must('I1', lab.answer(requestOf({ by: 24, n: 5, res: [path('a')] })) === 'conflict', 'a restart forgets a promise')
  lab.nowMs += 10_000
  must(
    'I6',
    lab.answer(requestOf({ by: 24, n: 6, lid: hex(33), res: [path('a')] })) === 'grant',
    'after a restart no promise ends',
  )
}

function newestWrites({ must }: Report): void {
  const lab = new VoterLab()
  for (let i = 0; i < 70; i++) {
    const request = requestOf({ n: i + 1, lid: hex(100 + i), res: [path('p/a')] })
    lab.ask(request)
    lab.release(releaseOf(request, 21, position(200 + i, 1)))
  }
  const { after } = lab.grantOf(requestOf({ by: 22, n: 1000, res: [path('p/a')] })).body
  const authors = new Set(after.map(({ author }) => author))
  must('L2.4', authors.has(peer(269)) && after.length === 64, 'the write that was made last is not waited for')
}

async function earlyWords({ must }: Report): Promise<void> {
  const clock = createManualClock()
  let lid = ''
  const attempts = new Attempts({
    clock,
    random: createSeededRandom(1),
    closing: new AbortController().signal,
    boot: 1,
    epoch: () => 1,
    claims: {
      count: 0,
      nextToken: () => 1,
      start: (spec: { lid: string }) => {
        lid = spec.lid
        return { claim: { standing: () => ({ denies: [], silent: [] }) }, release: () => undefined }
      },
    },
  } as unknown as AttemptsDeps)
  const info = { instanceId: 'w', untilMs: 0 }
  const steps = attempts.for({ resources: [path('a')], owner: 'w', info, holdUntilMs: 0, waitMs: 0 })
  const tried = steps.attempt(10, false)
  await clock.advance(10)
  await tried
  attempts.wayIsFree(lid)
  let isWoken = false
  void steps.pauseUntilFree(60_000).then(() => (isWoken = true))
  await settle()
  must('L2.5', isWoken, 'a hint that comes before anybody waits for it is lost')

  let rounds = 0
  const limited = {
    clock,
    random: createSeededRandom(1),
    timings: { answerMs: 3000, backoffMs: 1, backoffMaxMs: 1, afterMs: 0, staleRetryMs: 1 },
    quorum: () => 1,
    closing: new AbortController().signal,
    attempt: async () => (rounds++ > 3 ? { is: 'limit' } : { is: 'refused', denies: [{ why: 'limit' }], silent: [] }),
    pause: async () => undefined,
    pauseUntilFree: async () => undefined,
  } as unknown as Acquisition
  const answer = await acquireLease(limited, 0)
  must('L2.4', rounds === 1 && !answer.ok && answer.error.why === 'limit', `a limit is asked about ${rounds} times`)
}

type Nodes = [LeaseNode, LeaseNode, LeaseNode, LeaseNode]

async function inMesh(voters: number, run: (mesh: LeaseMesh, nodes: Nodes) => Promise<void>): Promise<void> {
  const mesh = await createLeaseMesh({ voters, nodes: 4 })
  try {
    await run(mesh, mesh.nodes as unknown as Nodes)
  } finally {
    await mesh.close()
  }
}

async function closingNode({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [founder, holder]) => {
    const lease = await acquired(mesh, holder, 'w1')
    await mesh.restart(holder)
    mesh.cut(founder, holder)
    const answers: string[] = []
    const untilMs = mesh.clock.wallMs() + 600_000
    void holder.leases.resume(lease.certificate, untilMs).then((isResumed) => answers.push(`${isResumed}`))
    void holder.leases
      .acquire(wanting(mesh, 'w2', { resources: [path('b')] }))
      .then((answer) => answers.push(answer.ok ? 'granted' : answer.error.why))
    await settle()
    await holder.leases.close()
    await settle()
    must('L2.11', answers.includes('false'), 'whoever waits for what is to go on is left waiting')
    must('L2.5', answers.includes('no_quorum'), 'whoever waits for its first answer is left waiting')
    mesh.join(founder, holder)
    const late = holder.leases.resume(lease.certificate, untilMs)
    must('L2.11', !(await timed(mesh, late)).answer, 'a node that has closed goes on')
  })
}

async function busyVoter({ must }: Report): Promise<void> {
  const log = createRecordedLog()
  const means = { syncs: 0, compactions: 0, snapshot: 5000 }
  const record = new Uint8Array(1)
  const loop = new VoterLoop(
    {
      voter: { snapshot: () => Array.from({ length: means.snapshot }, () => record) } as unknown as Voter,
      journal: {
        replay: async () => [],
        append: () => undefined,
        sync: async () => void means.syncs++,
        compact: async () => void means.compactions++,
      } as never,
      clock: createManualClock(),
      signatures: signaturesOf(1),
      log,
      hint: () => undefined,
    },
    COMPACT_AFTER_RECORDS,
  )
  const decide = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const work = () => ({ records: [record], mustSync: true, free: [] })
      loop.enqueue({ work, sink: () => undefined, done: () => undefined })
    }
  }
  decide(BATCH_MAX + 1)
  await settle()
  must('L2.4', means.syncs === 2, `the first of ${BATCH_MAX + 1} decisions waits for all others`)
  for (let i = 0; i < 10; i++) {
    decide(1)
    await settle()
  }
  must('L2.4', means.compactions === 1, `a journal is written anew ${means.compactions} times for ten promises`)
}

async function calledOff({ must }: Report): Promise<void> {
  await inMesh(1, async (mesh, [first]) => {
    const stop = new AbortController()
    stop.abort(new Error('cancelled'))
    const members = ['node-1']
    const asked = first.leases.changes.set({ members, force: { reason: 'x' } }, stop.signal)
    const { answer } = await timed(mesh, asked, 60_000)
    const isOff = !answer.ok && answer.error.code === 'cancelled' && mesh.voterSets.length === 0
    must('L2.7', isOff, 'voters are installed by force after that was called off')
    const [, , , fourth] = mesh.nodes
    if (fourth) mesh.cut(first, fourth)
    const later = new AbortController()
    const waiting = first.leases.changes.set({ members: ['node-4'] }, later.signal)
    await settle()
    later.abort(new Error('cancelled'))
    const called = await waiting
    const isSo = !called.ok && called.error.code === 'cancelled'
    must('L2.7', isSo, 'a change that is called off is told to have failed for another reason')
  })
}

import * as Y from 'yjs'
import { InstanceId, TaskId, type PeerId } from '../../../../crdt/ids.ts'
import { ok } from '../../../../crdt/result.ts'
import type { TaskBoard } from '../../../../crdt/task-board.ts'
import { putClaim, taskClaims } from '../../../../crdt/task-document.ts'
import { bestCompletion, ClaimReader, standingClaim, type TaskEntry } from '../../../../crdt/task-entry.ts'
import type { ClaimRecord, Completion } from '../../../../crdt/task-record.ts'
import { createTurns } from '../../../../node/services/claims/claim-turns.ts'
import { resumeTasks } from '../../../../node/services/tasks/task-resuming.ts'
import { codeOf, passing, PROJECT, type LabNode } from '../../../support/claim-lab.ts'
import { lease, OTHER, SELF } from '../../../support/claim-table.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { plainProject } from '../../../support/plain-project.ts'
import { shownOf, TaskCalls } from '../../../support/task-calls.ts'
import type { Report, Scenario } from '../scenario.ts'

export const taskRecordScenarios: readonly Scenario[] = [
  { id: 'task-records', says: 'Of what members say of a task the highest token counts.', run: records },
  { id: 'tasks-resumed', says: 'A process goes on with its own claims, or gives them back.', run: resumed },
  { id: 'one-lease-for-two-calls', says: 'A task is claimed once, by whoever may, while it is open.', run: claimed },
  { id: 'task-not-known-yet', says: 'What a node is about to go on with is its holder’s.', run: notKnownYet },
]

const TASK = TaskId.parse('00000000-0000-4000-8000-0000000000aa')
const AT = '2026-01-01T00:00:00.000Z'
const shared = (token: number, task = TASK) => ({
  task,
  token,
  lease: hex(token),
  instance: InstanceId.parse('one'),
  at: AT,
})
const hex = (n: number): string => n.toString(16).padStart(32, '0')
const taken = (token: number, task = TASK): ClaimRecord => ({
  ...shared(token, task),
  state: 'claimed',
  tokenId: 't',
  certificate: new Uint8Array(1),
})
const anybody = { isWriter: () => true, verify: () => true }
/** With what a quorum signed: whether that is so is another question. */
const proof = { certificate: new Uint8Array(1) }
const leaseOf = (token: number): Pick<Completion, 'lease' | 'token'> => ({ lease: hex(token), token })
const given = (token: number, task = TASK): ClaimRecord => ({
  ...shared(token, task),
  ...proof,
  state: 'released',
  reason: 'x',
})
const done = (token: number): Completion => {
  const { task: _task, ...rest } = shared(token)
  return { ...rest, ...proof, summary: `${token}`, files_modified: [] }
}
const entryOf = (claims: [PeerId, ClaimRecord][], completions: [PeerId, Completion][] = []): TaskEntry => ({
  id: TASK,
  body: undefined,
  isEdited: false,
  isDeleted: false,
  claims: new Map(claims),
  completions: new Map(completions),
  lease: undefined,
  shown: undefined,
})

function records({ must }: Report): void {
  const doc = new Y.Doc()
  taskClaims(doc, OTHER).push([taken(5), taken(3)])
  const read = (isProven: boolean): ClaimRecord | undefined =>
    new ClaimReader({ ...anybody, verify: () => isProven }).read(doc, OTHER).get(TASK)
  must('M13', read(true)?.token === 5, 'a member goes back to a claim of before')
  must('L2.10', read(false) === undefined, 'a member claims what nobody granted')
  let asked = 0
  const reader = new ClaimReader({ ...anybody, verify: () => ++asked > 2 })
  reader.read(doc, OTHER)
  const first = asked
  reader.read(doc, OTHER)
  must('L2.10', asked === first, 'the certificates of one document are checked with every change')
  reader.forget()
  must('L2.10', reader.read(doc, OTHER).size === 1, 'a claim stays hidden whose voters were not known at first')

  const isAnothers = new ClaimReader({ ...anybody, isWriter: () => false }).read(doc, OTHER)
  must('M13', isAnothers.size === 0, 'what another has written in its place is taken for what the holder says')

  const proofs = (is: boolean) => new ClaimReader({ ...anybody, verify: () => is })
  const standing = (...said: Parameters<typeof entryOf>): number =>
    standingClaim(entryOf(...said), proofs(true))?.record.token ?? 0
  const [lower, higher] = [taken(3), taken(5)]
  for (const both of [
    [lower, higher],
    [higher, lower],
  ]) {
    const claims = both.map((record, i): [PeerId, ClaimRecord] => [[SELF, OTHER][i]!, record])
    must('L2.6', standing(claims) === 5, 'an earlier claim stands before the one that followed it')
  }
  must(
    'L2.6',
    standing([
      [SELF, taken(3)],
      [OTHER, given(3)],
    ]) === 0,
    'a claim stands that has ended',
  )
  must(
    'L2.6',
    standing([
      [SELF, taken(5)],
      [OTHER, given(3)],
    ]) === 5,
    'the end of one claim ends the one that followed',
  )
  must('L2.6', standing([[SELF, taken(3)]], [[OTHER, done(5)]]) === 0, 'a claim outlives the completion of its task')
  const mine: [PeerId, ClaimRecord][] = [[SELF, taken(3)]]
  const bare = { ...done(5), certificate: undefined } as unknown as Completion
  must('L2.6', standing(mine, [[OTHER, bare]]) === 3, 'a token that nobody granted ends the claim of another')
  const forged = entryOf(mine, [[OTHER, done(5)]])
  must('L2.6', standingClaim(forged, proofs(false)) !== undefined, 'a proof that proves nothing ends a claim')
  const own = entryOf([[SELF, taken(3)]], [[SELF, { ...bare, ...leaseOf(3) }]])
  must('L2.6', standingClaim(own, proofs(true)) === undefined, 'a claim outlives its own end')
  const namesakes = entryOf([[SELF, taken(3)]], [[OTHER, { ...bare, ...leaseOf(3) }]])
  must('L2.6', standingClaim(namesakes, proofs(true)) !== undefined, 'who knows the lease of another ends its claim')
  const late = entryOf(
    [],
    [
      [SELF, done(3)],
      [OTHER, bare],
    ],
  )
  must('L2.6', bestCompletion(late, proofs(true))?.token === 3, 'a token that nobody granted goes before one that was')
  let looked = 0
  const counting = new ClaimReader({ ...anybody, verify: () => ++looked > 0 })
  for (let i = 0; i < 3; i++) standingClaim(forged, counting)
  bestCompletion(entryOf([], [[OTHER, done(5)]]), counting)
  must('L2.10', looked === 1, `an end is verified ${looked} times`)
  counting.forget()
  standingClaim(forged, counting)
  must('L2.10', looked === 2, 'an end stays unproven whose voters were not known at first')
  for (const both of [
    [done(3), done(5)],
    [done(5), done(3)],
  ]) {
    const said = both.map((completion, i): [PeerId, Completion] => [[SELF, OTHER][i]!, completion])
    must(
      'L2.6',
      bestCompletion(entryOf([], said), proofs(true))?.token === 5,
      'a late completion counts for the one that was in time',
    )
  }

  const written = new Y.Doc()
  for (let n = 1; n < 1000; n++) {
    const task = TaskId.parse(`00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`)
    putClaim(written, SELF, taken(n, task))
    if (n > 5) putClaim(written, SELF, given(n, task))
  }
  const kept = new ClaimReader(anybody).read(written, SELF)
  const claims = [...kept.values()].filter(({ state }) => state === 'claimed').length
  must('D9', taskClaims(written, SELF).length < 300, 'what was ever given back is kept')
  must('D9', claims === 5, 'claims are dropped to make room for what was given back')
  must('D9', taskClaims(written, SELF).length === kept.size, 'a claim is kept beside its end')
}

async function resumed({ must }: Report): Promise<void> {
  const clock = createManualClock()
  const HOUR_MS = 3_600_000
  type Means = {
    node?: PeerId
    isHeld?: boolean
    isProven?: boolean
    isOld?: boolean
    isDead?: boolean
    isGranted?: boolean
    /** Another claim stands by the time that this one is known to be lost. */
    followedBy?: PeerId
  }
  const fateOf = async (means: Means & { isStopped?: boolean } = {}): Promise<string> => {
    const { node = SELF, isHeld = false, isProven = true, isOld = false, isDead = false, isGranted = true } = means
    const said: string[] = []
    const at = new Date(clock.wallMs() - (isOld ? 24 * HOUR_MS : 0)).toISOString()
    const claim = { node, record: { ...taken(3), at } }
    const board = {
      projectId: PROJECT,
      claimed: () => [{ id: TASK, claim }],
      standing: () => (means.followedBy ? { node: means.followedBy, record: { ...taken(5), at } } : claim),
      hasOthers: () => false,
    } as unknown as TaskBoard
    const deps = {
      boards: {
        claimedHere: () => [PROJECT],
        use: async (_id: unknown, run: (of: TaskBoard) => Promise<unknown>) => await run(board),
        catchUp: () => undefined,
        lookAgain: () => said.push('shown'),
      },
      documents: {
        async write(_doc: unknown, _actor: unknown, change: (state: Y.Doc) => unknown) {
          change(new Y.Doc())
          said.push('ended')
          return { value: null, position: null }
        },
      },
      leases: {
        find: () => (isHeld ? lease : undefined),
        verified: () => (isProven ? lease.certificate : undefined),
        discard: () => said.push('given back'),
        async resume() {
          said.push('asked')
          return isGranted
        },
      },
      projects: { get: async () => ok(plainProject(PROJECT)) },
      hasEnded: () => isDead,
      resuming: { isStopped: means.isStopped === true },
      upholding: { hold: () => undefined },
      turns: createTurns(),
      clock,
      self: SELF,
      log: createRecordedLog(),
    } as unknown as Parameters<typeof resumeTasks>[0]
    await resumeTasks(deps)
    return said.join()
  }
  const shows = async (means: Parameters<typeof fateOf>[0], fate: string, otherwise: string): Promise<void> =>
    must('L2.11', (await fateOf(means)) === fate, `${otherwise}: ${await fateOf(means)}`)
  await shows({}, 'asked,shown', 'a claim does not go on, or is hidden')
  await shows({ node: OTHER }, '', 'a node asks for what another holds')
  await shows({ isHeld: true }, '', 'a node asks for what it has just been granted')
  await shows({ isProven: false }, 'ended', 'a node asks for what nobody granted')
  await shows({ isOld: true }, 'given back,ended', 'a claim goes on beyond its time')
  await shows({ isDead: true }, 'given back,ended', 'the claim of an agent that has ended goes on')
  await shows({ isGranted: false }, 'asked,ended', 'a claim that is lost stays on the board')
  for (const followedBy of [SELF, OTHER])
    await shows({ isGranted: false, followedBy }, 'asked', 'the claim that followed is ended with the one that is lost')
  await shows({ isGranted: false, isStopped: true }, 'asked', 'a claim is lost because its node stopped')
}

async function claimed({ must }: Report): Promise<void> {
  await TaskCalls.in(1, async (calls, nodes) => {
    const [node] = nodes as [LabNode]
    const task = await calls.create(node)
    const held = (): number => node.leases.held().length
    const twice = [1, 2].map(() => node.tasks.claim(node.actor('t'), task.id, 'one'))
    const answers = (await passing(calls.lab, Promise.all(twice))).map(codeOf)
    must('I1', answers.join() === 'ok,ok' && held() === 1, `one task is claimed twice: ${answers.join()}, ${held()}`)
    const lock = () => node.locks.acquire(node.actor('t'), PROJECT, { path: 'a', instanceId: 'one' })
    await passing(calls.lab, Promise.all([lock(), lock()]))
    must('I1', held() === 2, `one path is locked ${held() - 1} times for two calls at once`)

    const acquire = node.leases.acquire.bind(node.leases)
    let asked = 0
    node.leases.acquire = async (request) => (asked++, await acquire(request))
    must(
      'L2.8',
      (await calls.tryClaim(node, task, 'two')) === 'task_claimed' && asked === 0,
      'voters are asked what is known',
    )
    const more = await calls.create(node)
    const other = await calls.tryClaim(node, more, 'one', 'another token')
    must('L2.8', other === 'forbidden', `one name is two holders: ${other}`)

    node.leases.acquire = async (request) => {
      const granted = await acquire(request)
      await node.tasks.update(node.actor('t'), more.id, { dependencies: [task.id] })
      return granted
    }
    const late = await calls.tryClaim(node, more, 'three')
    must('L2.6', late === 'task_blocked', `what the holder before has said does not count: ${late}`)
    must('L2.5', held() === 2, 'a lease is kept without its claim')
    node.leases.acquire = acquire

    const last = await calls.create(node)
    await calls.claim(node, last, 'four')
    const like = { path: task.id, instanceId: 'one' }
    await passing(calls.lab, node.locks.acquire(node.actor('t'), PROJECT, like))
    await passing(calls.lab, node.tasks.remove(node.actor('t'), task.id))
    await settle()
    const left = node.leases.held().map(({ resources: [resource] }) => resource?.key.replace(`${PROJECT}/`, '') ?? '')
    must(
      'L2.5',
      left.toSorted().join() === ['a', last.id, task.id].toSorted().join(),
      `after a task is gone ${left.join()} is held`,
    )
  })
}

async function notKnownYet({ must }: Report): Promise<void> {
  await TaskCalls.in(3, async (calls, nodes) => {
    const [voter, holder, edge] = nodes as [LabNode, LabNode, LabNode]
    const task = await calls.create(holder)
    const mine = await calls.claim(holder, task, 'one')
    await calls.lab.split([voter], [holder, edge])
    const again = await calls.lab.restart(1)
    const asked = calls.tryClaim(again, task, 'one')
    await settle()
    await calls.lab.heal()
    const isSame = (await asked) === 'ok' && (await shownOf(again, task)).claim?.leaseId === mine.claim?.leaseId
    must('L2.11', isSame, 'whoever asks for its task in the first moments gets it once more')
    await calls.lab.split([voter], [again, edge])
    await calls.lab.restart(1)
    calls.lab.beat()
    const released = calls.release(edge, task, 'one')
    await settle()
    await calls.lab.heal()
    const answer = await released
    must('L2.11', answer === 'ok', `a claim that is about to go on is lost for other gateways: ${answer}`)
  })
}

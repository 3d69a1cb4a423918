import { afterEach, describe, expect, it } from 'vitest'
import type { FileLock, LockNotice } from '../../../../crdt/lock.ts'
import { err } from '../../../../crdt/result.ts'
import { SETTLE_MS } from '../../../../node/services/locks/lock-provisional.ts'
import type { LockInput } from '../../../../node/services/locks/lock-service.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

let lab: ClaimLab
afterEach(() => lab.close())

const token = (instance: string): string => `token of ${instance}`
const acquire = (node: LabNode, path: string, instanceId: string, more: Partial<LockInput> = {}) =>
  node.locks.acquire(node.actor(token(instanceId)), PROJECT, { path, instanceId, ...more })

async function lock(node: LabNode, path: string, instanceId: string, more: Partial<LockInput> = {}) {
  const result = await passing(lab, acquire(node, path, instanceId, more))
  await settle()
  return result
}

async function release(node: LabNode, path: string, instanceId: string) {
  const result = await passing(lab, node.locks.release(node.actor(token(instanceId)), PROJECT, { path, instanceId }))
  await settle()
  return result
}

const bulk = (node: LabNode, paths: readonly string[], instanceId: string, more: object = { allOrNothing: true }) =>
  passing(lab, node.locks.bulk(node.actor(token(instanceId)), PROJECT, { paths, instanceId, ...more }))

const list = async (node: LabNode): Promise<readonly FileLock[]> => valueOf(await node.locks.list(PROJECT))
const shown = async (node: LabNode): Promise<string[]> =>
  (await list(node)).map(({ path, instanceId, guarantee }) => `${path} ${instanceId} ${guarantee}`)
const notices = async (node: LabNode): Promise<readonly LockNotice[]> => valueOf(await node.locks.notices(PROJECT))
const lost = async (node: LabNode): Promise<string[]> =>
  (await notices(node)).map(({ instanceId, why, conflict }) => `${instanceId} ${why} ${conflict?.instanceId ?? '-'}`)
const typesOf = (node: LabNode): string[] => node.told.map(({ type }) => type)

/** Node 0 is the only voter; the others are cut off from it. */
async function withoutVoter(nodes = 3): Promise<[voter: LabNode, ...others: LabNode[]]> {
  lab = await ClaimLab.create({ nodes, voters: 1 })
  const [voter, ...others] = lab.nodes
  await lab.pass(5000)
  await lab.split([voter!], others)
  await lab.pass(20_000)
  return [voter!, ...others]
}

/** The disk takes what others wrote and refuses what this node writes, until the returned function is called. */
function refuseOwn({ store, peer }: LabNode): () => void {
  const append = store.append.bind(store)
  store.append = async (envelopes) => {
    if (envelopes.some(({ author }) => author === peer)) throw new Error('the disk is full')
    await append(envelopes)
  }
  return () => (store.append = append)
}

/** Every node is alone. */
async function apart(nodes = 3): Promise<[voter: LabNode, ...others: LabNode[]]> {
  lab = await ClaimLab.create({ nodes, voters: 1 })
  await lab.pass(5000)
  await lab.split(...lab.nodes.map((node) => [node]))
  const [voter, ...others] = lab.nodes
  return [voter!, ...others]
}

describe('[L2.8] without a quorum', () => {
  it('a lock is provisional within three seconds, and names the voters that are missing', async () => {
    const [, a, b] = await withoutVoter()
    const startMs = lab.clock.monoMs()
    const mine = valueOf(await passing(lab, acquire(a!, 'src/a.ts', 'one', { reason: 'refactoring' }), 10))
    expect(lab.clock.monoMs() - startMs).toBeLessThanOrEqual(3050)
    await settle()
    expect(mine).toMatchObject({
      path: 'src/a.ts',
      guarantee: 'provisional',
      missingVoters: ['node 0'],
      fencingToken: null,
      reason: 'refactoring',
    })
    expect([await list(a!), await list(b!), valueOf(await b!.locks.check(PROJECT, 'src/a.ts'))]).toEqual([
      [mine],
      [mine],
      mine,
    ])
    expect(b!.told).toEqual([{ type: 'file.locked', projectId: PROJECT, lock: mine }])
  })

  it('a strict project, and a caller who wants certainty, are refused', async () => {
    const [, a] = await withoutVoter()
    const refused = await lock(a!, 'a.ts', 'one', { exclusive: true })
    expect(!refused.ok && [refused.error.code, refused.error.details]).toEqual([
      'quorum_unreachable',
      { missingVoters: ['node 0'] },
    ])
    lab.projects[0]!.settings = { lockPolicy: 'strict' }
    expect(codeOf(await lock(a!, 'a.ts', 'one'))).toBe('quorum_unreachable')
    expect(await list(a!)).toEqual([])
    lab.projects[0]!.settings = { lockPolicy: 'local-first' }
    expect(codeOf(await lock(a!, 'a.ts', 'one'))).toBe('ok')
    // Certainty is not what its holder has.
    expect(codeOf(await lock(a!, 'a.ts', 'one', { exclusive: true }))).toBe('quorum_unreachable')
  })

  it('tasks are not claimed, whatever the policy', async () => {
    const [voter, a] = await withoutVoter()
    const actor = a!.actor('t')
    const input = { title: 'x', description: '', priority: 'medium', files: [], dependencies: [] } as const
    const task = valueOf(
      await passing(
        lab,
        a!.tasks.create(actor, PROJECT, { ...input, files: [], dependencies: [], estimated_tokens: null }),
      ),
    )
    expect(codeOf(await passing(lab, a!.tasks.claim(actor, task.id, 'one')))).toBe('quorum_unreachable')
    await lab.heal()
    const claimed = valueOf(await passing(lab, a!.tasks.claim(actor, task.id, 'one')))
    expect(claimed.claim?.guarantee).toBe('certified')
    expect(voter.told.map(({ type }) => type)).toContain('task.claimed')
  })

  it('[P1] a known overlapping lock of another refuses, whatever its guarantee', async () => {
    const [, a, b] = await withoutVoter()
    const mine = valueOf(await lock(a!, 'src/', 'one', { reason: 'mine' }))
    const refused = await lock(b!, 'src/x/y.ts', 'two')
    expect(!refused.ok && [refused.error.code, refused.error.details?.holder]).toEqual([
      'lock_held',
      { instanceId: 'one', reason: 'mine', expiresAt: mine.expiresAt, guarantee: 'provisional' },
    ])
    expect(codeOf(await lock(a!, 'src/z.ts', 'other'))).toBe('lock_held')
    expect(codeOf(await lock(a!, 'src/z.ts', 'one'))).toBe('ok')
    expect(codeOf(await lock(b!, 'docs/', 'two'))).toBe('ok')
  })

  it('[P1] of two that ask at the same moment one is told of the other before it counts', async () => {
    const [, a, b] = await withoutVoter()
    const both = await passing(lab, Promise.all([acquire(a!, 'a.ts', 'one'), acquire(b!, 'a.ts', 'two')]))
    expect(both.map(codeOf).toSorted()).toEqual(['lock_held', 'ok'])
    await settle()
    expect([await list(a!), (await list(a!)).length, await notices(a!)]).toEqual([await list(b!), 1, []])
  })

  it('[P1] waits for objections also where the voters refuse at once', async () => {
    const [, a, b] = await withoutVoter()
    for (const { leases } of [a!, b!]) leases.acquire = async () => err({ why: 'no_quorum', missing: [] })
    const startMs = lab.clock.monoMs()
    const both = await passing(lab, Promise.all([acquire(a!, 'a.ts', 'one'), acquire(b!, 'a.ts', 'two')]), 10)
    expect([both.map(codeOf).toSorted(), lab.clock.monoMs() - startMs >= SETTLE_MS]).toEqual([
      ['lock_held', 'ok'],
      true,
    ])
    await settle()
    expect([await list(a!), (await list(a!)).length, await notices(a!)]).toEqual([await list(b!), 1, []])
  })

  it('one node that is asked twice at once for two overlapping paths gives one of them', async () => {
    const [, a] = await withoutVoter()
    const both = await passing(lab, Promise.all([acquire(a!, 'src/', 'one'), acquire(a!, 'src/a.ts', 'two')]))
    expect(both.map(codeOf).toSorted()).toEqual(['lock_held', 'ok'])
  })

  it('many paths are many locks, each with its guarantee, or one over all', async () => {
    const [, a, b] = await withoutVoter()
    valueOf(await lock(b!, 'c', 'two'))
    const some = valueOf(await bulk(a!, ['a', 'b', 'c'], 'one', {}))
    expect(some.acquired.map(({ path, guarantee }) => [path, guarantee])).toEqual([
      ['a', 'provisional'],
      ['b', 'provisional'],
    ])
    expect(some.failed.map(({ path, error }) => [path, error.code])).toEqual([['c', 'lock_held']])
    const none = valueOf(await bulk(a!, ['x', 'y', 'c'], 'one'))
    expect([none.acquired, none.failed.length]).toEqual([[], 3])
    const all = valueOf(await bulk(a!, ['x', 'y'], 'one'))
    expect(new Set(all.acquired.map(({ leaseId }) => leaseId)).size).toBe(1)
    expect(codeOf(await release(b!, 'x', 'one'))).toBe('ok')
    expect(await shown(b!)).toEqual([
      'a one provisional',
      'b one provisional',
      'c two provisional',
      'y one provisional',
    ])
  })
})

describe('[L2.8] a provisional lock', () => {
  it('is released, here and through another node, and leaves nothing to tell', async () => {
    const [, a, b] = await withoutVoter()
    valueOf(await lock(a!, 'a.ts', 'one'))
    expect(codeOf(await release(b!, 'a.ts', 'two'))).toBe('lock_not_held_by_caller')
    expect(codeOf(await release(b!, 'a.ts', 'one'))).toBe('ok')
    expect([await list(a!), await list(b!)]).toEqual([[], []])
    expect([typesOf(b!), await notices(b!)]).toEqual([['file.locked', 'file.unlocked'], []])
    expect(codeOf(await lock(b!, 'a.ts', 'two'))).toBe('ok')
  })

  it('is extended by its holder, through any node, and ends when its time is up', async () => {
    const [, a, b] = await withoutVoter()
    const mine = valueOf(await lock(a!, 'a.ts', 'one', { durationMinutes: 2 }))
    const more = { path: 'a.ts', instanceId: 'one', additionalMinutes: 3 }
    const longer = valueOf(await passing(lab, b!.locks.extend(b!.actor(token('one')), PROJECT, more)))
    expect(longer).toEqual({ ...mine, expiresAt: new Date(Date.parse(mine.expiresAt) + 180_000).toISOString() })
    expect(valueOf(await lock(b!, 'a.ts', 'one', { durationMinutes: 1 }))).toEqual(longer)
    await lab.pass(240_000)
    expect([await list(a!), await list(b!)]).toEqual([[longer], [longer]])
    await lab.pass(70_000)
    expect([await list(a!), await list(b!), await notices(a!)]).toEqual([[], [], []])
    expect(typesOf(b!)).toEqual(['file.locked', 'file.unlocked'])
    // It ended well: a restart finds nothing that was left open.
    await lab.restart(1)
    expect(await notices(b!)).toEqual([])
  })

  it('stands while its holder cannot be heard, but no longer than it was taken for', async () => {
    const [, a, b] = await withoutVoter()
    valueOf(await lock(a!, 'a.ts', 'one', { durationMinutes: 5 }))
    await lab.split([a!], [b!], [lab.nodes[0]!])
    await lab.pass(120_000)
    expect(codeOf(await lock(b!, 'a.ts', 'two'))).toBe('lock_held')
    const gone = await release(b!, 'a.ts', 'one')
    expect(!gone.ok && [gone.error.code, (gone.error.details?.retryAfterMs ?? 0) > 100_000]).toEqual([
      'machine_offline',
      true,
    ])
    await lab.pass(200_000)
    expect(await list(b!)).toEqual([])
    expect(codeOf(await lock(b!, 'a.ts', 'two'))).toBe('ok')
  })

  it.each([
    ['it is stopped', () => undefined],
    [
      'it has no time to say what is in its documents',
      ({ store }: LabNode) => (store.saveSummary = async () => undefined),
    ],
    ['the project is not in memory', () => lab.pass(320_000)],
  ])('ends with the process of its node, which then says so (%s)', async (_how, before) => {
    const [, a, b] = await withoutVoter()
    const mine = valueOf(await lock(a!, 'a.ts', 'one'))
    await before(a!)
    const again = await lab.restart(1)
    await lab.sync()
    expect([await list(again), await list(b!)]).toEqual([[], []])
    expect(await notices(b!)).toEqual([
      {
        id: mine.leaseId,
        projectId: PROJECT,
        why: 'owner-restart',
        paths: ['a.ts'],
        instanceId: 'one',
        node: a!.peer,
        lockedAt: mine.lockedAt,
        endedAt: expect.any(String),
        conflict: null,
      },
    ])
    await lab.restart(1)
    expect(await lost(b!)).toEqual(['one owner-restart -'])
  })

  it('ends when its node is no longer a member', async () => {
    const [, a, b] = await withoutVoter()
    valueOf(await lock(a!, 'a.ts', 'one'))
    await lab.expel(a!)
    expect([await list(b!), typesOf(b!)]).toEqual([[], ['file.locked', 'members.changed', 'file.unlocked']])
    expect(codeOf(await lock(b!, 'a.ts', 'two'))).toBe('ok')
  })

  it('is asked for again and becomes certified: the same lock, told once more', async () => {
    const [voter, a, b] = await withoutVoter()
    const mine = valueOf(await lock(a!, 'a.ts', 'one'))
    await lab.heal()
    await lab.pass(10_000)
    const [certified] = await list(b!)
    expect(certified).toEqual({
      ...mine,
      guarantee: 'certified',
      missingVoters: [],
      leaseId: expect.not.stringMatching(mine.leaseId),
      fencingToken: expect.any(Number),
    })
    expect([await list(a!), await list(voter)]).toEqual([[certified], [certified]])
    expect([typesOf(b!), await notices(b!)]).toEqual([['file.locked', 'file.locked'], []])
    expect(codeOf(await lock(voter, 'a.ts', 'two'))).toBe('lock_held')
    await lab.pass(120_000)
    expect(await list(b!)).toEqual([certified])
    expect(codeOf(await release(b!, 'a.ts', 'one'))).toBe('ok')
    expect([await list(a!), a!.leases.held()]).toEqual([[], []])
  })

  it('does not wait for its turn to ask when the voter is heard again after a long time', async () => {
    const [, a, b] = await withoutVoter()
    valueOf(await lock(a!, 'a.ts', 'one', { durationMinutes: 60 }))
    await lab.pass(600_000)
    await lab.heal()
    await lab.pass(5000)
    expect(await shown(b!)).toEqual(['a.ts one certified'])
  })

  it('is not overtaken by a newcomer while its holder is about to be certified', async () => {
    const [voter, a] = await withoutVoter()
    valueOf(await lock(a!, 'a.ts', 'one'))
    await lab.heal()
    lab.beat()
    expect(codeOf(await lock(voter, 'a.ts', 'two'))).toBe('lock_held')
    await lab.pass(10_000)
    expect([await shown(voter), await notices(voter)]).toEqual([['a.ts one certified'], []])
  })

  it('is certified at once for its holder who asks for certainty when the voters are back', async () => {
    const [, a, b] = await withoutVoter()
    valueOf(await lock(a!, 'a.ts', 'one'))
    await lab.heal()
    expect(valueOf(await lock(a!, 'a.ts', 'one', { exclusive: true })).guarantee).toBe('certified')
    expect([await shown(b!), a!.leases.held().length]).toEqual([['a.ts one certified'], 1])
  })
})

describe('[I8] after a cut', () => {
  it('[P3] exactly one of two provisional locks remains, and the other is told for good', async () => {
    const [voter, a, b] = await apart()
    const first = valueOf(await lock(a!, 'src/a.ts', 'one'))
    const second = valueOf(await lock(b!, 'src/', 'two'))
    expect([first.guarantee, second.guarantee]).toEqual(['provisional', 'provisional'])
    await lab.split([voter], [a!, b!])
    await lab.pass(5000)
    expect([await shown(a!), await shown(b!)]).toEqual([['src/a.ts one provisional'], ['src/a.ts one provisional']])
    const notice: LockNotice = {
      id: second.leaseId,
      projectId: PROJECT,
      why: 'yield',
      paths: ['src/'],
      instanceId: second.instanceId,
      node: b!.peer,
      lockedAt: second.lockedAt,
      endedAt: expect.any(String),
      conflict: {
        leaseId: first.leaseId,
        path: 'src/a.ts',
        instanceId: first.instanceId,
        node: a!.peer,
        since: first.lockedAt,
        guarantee: 'provisional',
      },
    }
    expect([await notices(a!), await notices(b!)]).toEqual([[notice], [notice]])
    for (const node of [a!, b!]) {
      expect(node.told.filter(({ type }) => type === 'file.conflict')).toEqual([
        { type: 'file.conflict', projectId: PROJECT, notice },
      ])
    }
    expect(typesOf(b!)).toContain('file.unlocked')
    await lab.heal()
    await lab.pass(20_000)
    expect([await shown(voter), await notices(voter)]).toEqual([['src/a.ts one certified'], [notice]])
  })

  it('[P2] certified wins against provisional, however much later it was taken', async () => {
    const [voter, a] = await apart()
    valueOf(await lock(a!, 'a.ts', 'one'))
    await lab.pass(20_000)
    expect(valueOf(await lock(voter, 'a.ts', 'two')).guarantee).toBe('certified')
    await lab.heal()
    await lab.pass(20_000)
    expect([await shown(a!), await lost(a!)]).toEqual([['a.ts two certified'], ['one yield two']])
    expect(a!.told.slice(-3).map(({ type }) => type)).toEqual(['file.unlocked', 'file.locked', 'file.conflict'])
  })

  it('[P3] what has lost stays lost, also when the winner of a chain loses in turn', async () => {
    const [voter, a, b, c] = await apart(4)
    valueOf(await lock(a!, 'x', 'one'))
    valueOf(await bulk(b!, ['x', 'y'], 'two'))
    valueOf(await bulk(c!, ['y', 'z'], 'three'))
    // Three hears of two first, and gives way to it; then two gives way to one.
    await lab.split([voter], [a!], [b!, c!])
    await lab.pass(5000)
    expect(await lost(c!)).toEqual(['three yield two'])
    await lab.heal()
    await lab.pass(30_000)
    for (const node of lab.nodes) {
      expect(await shown(node)).toEqual(['x one certified'])
      expect((await lost(node)).toSorted()).toEqual(['three yield two', 'two yield one'])
    }
  })

  it('[P3] a claim whose certificate is being written gives way to nobody', async () => {
    const [voter, a, b] = await apart()
    const earlier = valueOf(await lock(b!, 'a.ts', 'two', { durationMinutes: 60 }))
    const later = valueOf(await lock(a!, 'a.ts', 'one', { durationMinutes: 60 }))
    a!.store.holdFacts()
    await lab.split([voter, a!], [b!])
    await lab.pass(10_000)
    expect([a!.leases.held().length, await shown(a!)]).toEqual([1, ['a.ts one provisional']])
    await lab.heal()
    await lab.pass(2000)
    a!.store.release()
    await lab.pass(20_000)
    for (const node of lab.nodes) {
      expect([await shown(node), await lost(node)]).toEqual([['a.ts one certified'], ['two yield one']])
    }
    expect((await notices(voter)).map(({ id }) => id)).toEqual([earlier.leaseId])
    expect((await list(voter))[0]?.lockedAt).toBe(later.lockedAt)
  })

  it('[P5] a node that dies between its decision and the notice still leaves exactly one', async () => {
    const [voter, a, b] = await apart()
    valueOf(await lock(a!, 'a.ts', 'one'))
    valueOf(await lock(b!, 'a.ts', 'two'))
    const allow = refuseOwn(b!)
    await lab.split([voter], [a!, b!])
    await settle()
    expect([await shown(b!), await lost(b!)]).toEqual([['a.ts one provisional'], []])
    allow()
    const again = await lab.restart(2)
    await lab.heal()
    await lab.pass(20_000)
    for (const node of [voter, a!, again]) {
      expect([await shown(node), await lost(node)]).toEqual([['a.ts one certified'], ['two owner-restart -']])
    }
  })

  it('[P5] a disk that refuses the notice is asked again', async () => {
    const [voter, a, b] = await apart()
    valueOf(await lock(a!, 'a.ts', 'one'))
    valueOf(await lock(b!, 'a.ts', 'two'))
    const allow = refuseOwn(b!)
    await lab.split([voter], [a!, b!])
    await lab.pass(3000)
    expect([await shown(a!), await lost(b!)]).toEqual([['a.ts one provisional'], []])
    allow()
    await lab.pass(10_000)
    expect([await lost(b!), await lost(a!)]).toEqual([['two yield one'], ['two yield one']])
  })

  it('a lock that nobody can be told of in the end is not given', async () => {
    const [, a] = await withoutVoter()
    a!.store.failWith(new Error('the disk is full'))
    expect(codeOf(await lock(a!, 'a.ts', 'one'))).toBe('storage_failed')
    a!.store.failWith(undefined)
    expect([await list(a!), codeOf(await lock(a!, 'a.ts', 'two'))]).toEqual([[], 'ok'])
  })

  it('[P3] gives way to a holder that only the voters can see, once that is surely certified', async () => {
    const [voter, a, b] = await apart()
    const blocked = valueOf(await lock(a!, 'a.ts', 'one', { durationMinutes: 60 }))
    await lab.split([voter, b!], [a!])
    const winner = valueOf(await lock(b!, 'a.ts', 'two', { durationMinutes: 60 }))
    lab.deaf.add(a!.peer)
    await lab.heal()
    await lab.pass(30_000)
    expect(await shown(a!)).toEqual(['a.ts one provisional'])
    await lab.pass(180_000)
    expect(await list(a!)).toEqual([])
    expect((await notices(a!)).map(({ id, conflict }) => [id, conflict?.instanceId, conflict?.node])).toEqual([
      [blocked.leaseId, winner.instanceId, null],
    ])
  })
})

describe('a notice', () => {
  it('is dismissed by anybody who may lock, for everybody', async () => {
    const [voter, a, b] = await apart()
    valueOf(await lock(a!, 'a.ts', 'one'))
    valueOf(await lock(b!, 'a.ts', 'two'))
    await lab.heal()
    await lab.pass(20_000)
    const [notice] = await notices(voter)
    const dismiss = (node: LabNode, id: string, abilities = ['lock:write']) =>
      passing(lab, node.locks.dismissNotice(node.actor('x', abilities), PROJECT, id))
    expect(codeOf(await dismiss(voter, notice!.id, ['lock:read']))).toBe('forbidden')
    expect(codeOf(await dismiss(voter, 'f'.repeat(32)))).toBe('notice_not_found')
    expect(codeOf(await dismiss(voter, notice!.id))).toBe('ok')
    await settle()
    expect([await notices(voter), await notices(b!)]).toEqual([[], []])
    expect(codeOf(await dismiss(b!, notice!.id))).toBe('notice_not_found')
  })

  it('of an earlier run is no news', async () => {
    const [, a, b] = await apart()
    valueOf(await lock(a!, 'a.ts', 'one'))
    valueOf(await lock(b!, 'a.ts', 'two'))
    await lab.heal()
    await lab.pass(20_000)
    const again = await lab.restart(2)
    await lab.pass(5000)
    expect([await lost(again), typesOf(again).includes('file.conflict')]).toEqual([['two yield one'], false])
  })
})

it('all or nothing keeps nothing, also of what has been certified since', async () => {
  lab = await ClaimLab.create({ nodes: 3, voters: 1 })
  const [voter, a, b] = [lab.nodes[0]!, lab.nodes[1]!, lab.nodes[2]!]
  await lab.pass(5000)
  valueOf(await lock(b, 'src/x.ts', 'one'))
  await lab.split([voter], [a, b])
  // It does not come to answer whether the one that is held already can be prolonged.
  b.store.holdFacts()
  const asked = a.locks.bulk(a.actor(token('one')), PROJECT, {
    paths: ['src/x.ts', 'src/y.ts'],
    instanceId: 'one',
    allOrNothing: true,
  })
  await lab.pass(5000)
  expect(await shown(a)).toContain('src/y.ts one provisional')
  await lab.heal()
  await lab.pass(5000)
  expect(await shown(a)).toContain('src/y.ts one certified')
  const { acquired, failed } = valueOf(await passing(lab, asked))
  expect([acquired, failed.map(({ path }) => path)]).toEqual([[], ['src/x.ts', 'src/y.ts']])
  await settle()
  expect([await shown(a), a.leases.held()]).toEqual([['src/x.ts one certified'], []])
  b.store.release()
})

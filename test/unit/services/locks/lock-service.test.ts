import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import type { FileLock } from '../../../../crdt/lock.ts'
import { InstanceId, ProjectId } from '../../../../crdt/ids.ts'
import { dropLock, putLock } from '../../../../crdt/live-document.ts'
import type { CertifiedRecord } from '../../../../crdt/lock-record.ts'
import { certificateBytes } from '../../../../node/services/claims/claim-certificate.ts'
import type { LockInput } from '../../../../node/services/locks/lock-service.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

let lab: ClaimLab
afterEach(() => lab.close())

const token = (instance: string): string => `token of ${instance}`

async function lock(node: LabNode, path: string, instanceId: string, more: Partial<LockInput> = {}) {
  const wish = { path, instanceId, ...more }
  const result = await passing(lab, node.locks.acquire(node.actor(token(instanceId)), PROJECT, wish))
  await settle()
  return result
}

async function release(node: LabNode, path: string, instanceId: string, by = token(instanceId)) {
  const result = await passing(lab, node.locks.release(node.actor(by), PROJECT, { path, instanceId }))
  await settle()
  return result
}

const bulk = (node: LabNode, paths: readonly string[], instanceId: string, allOrNothing = false) =>
  passing(lab, node.locks.bulk(node.actor(token(instanceId)), PROJECT, { paths, instanceId, allOrNothing }))

const list = async (node: LabNode): Promise<readonly FileLock[]> => valueOf(await node.locks.list(PROJECT))
const shown = async (node: LabNode): Promise<string[]> =>
  (await list(node)).map(({ path, instanceId }) => `${path} ${instanceId}`)

describe('acquiring', () => {
  it('shows one lock on every node, with its holder, and tells of it once', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const mine = valueOf(await lock(a, 'src/auth.ts', 'one', { reason: 'refactoring' }))
    const now = lab.clock.wallMs()
    expect(mine).toEqual({
      projectId: PROJECT,
      path: 'src/auth.ts',
      pattern: null,
      instanceId: 'one',
      reason: 'refactoring',
      lockedAt: new Date(now).toISOString(),
      expiresAt: new Date(now + 30 * 60_000).toISOString(),
      node: a.peer,
      tokenId: token('one'),
      guarantee: 'certified',
      missingVoters: [],
      leaseId: mine.leaseId,
      fencingToken: mine.fencingToken,
    })
    expect([await list(a), await list(b)]).toEqual([[mine], [mine]])
    expect(valueOf(await b.locks.check(PROJECT, './src//auth.ts'))).toEqual(mine)
    expect(valueOf(await b.locks.check(PROJECT, 'src/other.ts'))).toBeNull()
    expect([a.told, b.told]).toEqual([
      [{ type: 'file.locked', projectId: PROJECT, lock: mine }],
      [{ type: 'file.locked', projectId: PROJECT, lock: mine }],
    ])
  })

  it('[I1] has one winner among callers of all nodes', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const results = await passing(
      lab,
      Promise.all(
        lab.nodes.flatMap((node, n) =>
          [1, 2].map((i) =>
            node.locks.acquire(node.actor(`t${n}${i}`), PROJECT, { path: 'a.ts', instanceId: `x${n}${i}` }),
          ),
        ),
      ),
    )
    expect(results.map(codeOf).toSorted()).toEqual([
      'lock_held',
      'lock_held',
      'lock_held',
      'lock_held',
      'lock_held',
      'ok',
    ])
  })

  it('[I1] does not let one instance id under two tokens in', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const both = await passing(
      lab,
      Promise.all(['t1', 't2'].map((t) => a.locks.acquire(a.actor(t), PROJECT, { path: 'a.ts', instanceId: 'x' }))),
    )
    expect(both.map(codeOf).toSorted()).toEqual(['lock_held', 'ok'])
  })

  it('takes one lease for two calls of one instance and token at once', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const wish = { path: 'a.ts', instanceId: 'x' }
    const both = await passing(lab, Promise.all([1, 2].map(() => a.locks.acquire(a.actor('t'), PROJECT, wish))))
    expect(both[0]).toEqual(both[1])
    expect(a.leases.held()).toHaveLength(1)
  })

  it('names the holder, its reason and its end to whom it refuses', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const mine = valueOf(await lock(a, 'a.ts', 'one', { reason: 'because' }))
    const refused = await lock(b, 'a.ts', 'two')
    expect(!refused.ok && [refused.error.code, refused.error.details]).toEqual([
      'lock_held',
      { holder: { instanceId: 'one', reason: 'because', expiresAt: mine.expiresAt } },
    ])
  })

  it('[L2.9] is one path however it is spelled, and a directory is all that is in it', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const mine = valueOf(await lock(a, './src//caf\u0065\u0301.ts', 'one'))
    expect(mine.path).toBe('src/caf\u00e9.ts')
    expect(codeOf(await lock(b, 'src/caf\u00e9.ts', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, 'src/', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, './', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, 'srcs', 'two'))).toBe('ok')
    const directory = valueOf(await lock(b, 'docs/', 'two'))
    expect(directory.path).toBe('docs/')
    expect(codeOf(await lock(a, 'docs/x/y.md', 'one'))).toBe('lock_held')
    expect(codeOf(await lock(a, 'docs.md', 'one'))).toBe('ok')
    expect(valueOf(await a.locks.check(PROJECT, 'docs/x/y.md'))).toEqual(directory)
    expect(codeOf(await lock(b, 'docs/x/y.md', 'two'))).toBe('ok')
    await release(b, 'docs/x/y.md', 'two')
    expect(valueOf(await a.locks.check(PROJECT, 'docs/x/'))).toEqual(directory)
  })

  it.each([
    ['caf\u00e9.md', 'cafe\u0301.md'],
    ['a/b', 'a//b'],
    ['a', './a'],
    ['a/b', 'a./b. '],
    ['a', 'a/'],
  ])('[L2.9] %j and %j are one lock', async (one, other) => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    valueOf(await lock(a, one, 'one'))
    expect(codeOf(await lock(a, other, 'two'))).toBe('lock_held')
    expect(valueOf(await a.locks.check(PROJECT, other))?.instanceId).toBe('one')
    expect(codeOf(await release(a, other, 'one'))).toBe('ok')
    expect(await list(a)).toEqual([])
  })

  it('[L2.9] a path without a slash is a directory all the same, if there is anything below it', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(a, 'src', 'one'))
    expect(codeOf(await lock(b, 'src/x.ts', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, 'src.ts', 'two'))).toBe('ok')
    valueOf(await lock(b, 'docs/a.md', 'two'))
    expect(codeOf(await lock(a, 'docs', 'one'))).toBe('lock_held')
  })

  it('[L2.9] a pattern locks what holds all it can match, and is shown as it was typed', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const mine = valueOf(await lock(a, './src/**/*.ts', 'one'))
    expect([mine.path, mine.pattern]).toEqual(['src/', 'src/**/*.ts'])
    expect([await list(b), valueOf(await b.locks.check(PROJECT, 'src/x/y.ts'))]).toEqual([[mine], mine])
    expect(codeOf(await lock(b, 'src/readme.md', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, '*.md', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, 'docs/*.md', 'two'))).toBe('ok')
    const { acquired, failed } = valueOf(await bulk(b, ['src/*', 'test/*'], 'two'))
    expect([acquired.map(({ pattern }) => pattern), failed.map(({ path }) => path)]).toEqual([['test/*'], ['src/*']])
    expect(codeOf(await release(b, 'src/**/*.ts', 'one'))).toBe('ok')
    expect(codeOf(await lock(b, 'src/', 'two'))).toBe('ok')
    const refused = await lock(a, 'x/*/../../y', 'one')
    expect(!refused.ok && Object.keys(refused.error.details?.fields ?? {})).toEqual(['path'])
  })

  it('[L2.9] a project that folds case has one lock for two spellings, shown as its holder spelled it', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(a, 'Src/Auth.ts', 'one'))
    expect(codeOf(await lock(b, 'src/auth.ts', 'two'))).toBe('ok')
    await release(b, 'src/auth.ts', 'two')
    await release(a, 'Src/Auth.ts', 'one')
    lab.projects[0]!.settings = { caseFold: true }
    const mine = valueOf(await lock(a, 'Src/Auth.ts', 'one'))
    expect([mine.path, await list(b)]).toEqual(['Src/Auth.ts', [mine]])
    expect(codeOf(await lock(b, 'src/auth.ts', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, 'SRC/', 'two'))).toBe('lock_held')
    expect(valueOf(await b.locks.check(PROJECT, 'SRC/AUTH.ts'))).toEqual(mine)
    expect(codeOf(await release(b, 'SRC/AUTH.ts', 'one'))).toBe('ok')
    const long = await lock(a, '\u0130'.repeat(1000), 'one')
    expect(!long.ok && long.error.details?.fields).toEqual({ path: ['The path is too long.'] })
  })

  it.each([true, false])(
    '[L2.9] keeps what was locked before the project began (%s) to fold case',
    async (caseFold) => {
      lab = await ClaimLab.create()
      const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
      lab.projects[0]!.settings = { caseFold: !caseFold }
      const mine = valueOf(await lock(a, 'Src/Auth.ts', 'one'))
      lab.projects[0]!.settings = { caseFold }
      expect(codeOf(await lock(b, 'Src/Auth.ts', 'two'))).toBe('lock_held')
      expect(valueOf(await b.locks.check(PROJECT, 'Src/'))).toEqual(mine)
      expect(codeOf(await release(b, 'Src/Auth.ts', 'one'))).toBe('ok')
      expect(await list(b)).toEqual([])
      expect(codeOf(await lock(b, 'Src/Auth.ts', 'two'))).toBe('ok')
    },
  )

  it('locks the whole project by `./`', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const all = valueOf(await lock(a, './', 'one'))
    expect(all.path).toBe('./')
    expect(codeOf(await lock(b, 'any/thing', 'two'))).toBe('lock_held')
    expect([await list(b), valueOf(await b.locks.check(PROJECT, 'any/thing'))]).toEqual([[all], all])
    expect(codeOf(await release(a, './', 'one'))).toBe('ok')
    expect(codeOf(await lock(b, 'any/thing', 'two'))).toBe('ok')
  })

  it('refuses paths that leave the project, and times out of range', async () => {
    lab = await ClaimLab.create({ nodes: 1 })
    const [a] = [lab.nodes[0]!]
    const fieldOf = async (path: string, more: Partial<LockInput> = {}) => {
      const refused = await lock(a, path, 'one', more)
      return refused.ok ? 'ok' : Object.keys(refused.error.details?.fields ?? {}).join()
    }
    expect(await Promise.all(['../x', '/etc/passwd', '', 'a\\b'].map((path) => fieldOf(path)))).toEqual([
      'path',
      'path',
      'path',
      'path',
    ])
    expect(await fieldOf('a', { durationMinutes: 0 })).toBe('duration_minutes')
    expect(await fieldOf('a', { durationMinutes: 24 * 60 + 1 })).toBe('duration_minutes')
    expect(await fieldOf('a', { reason: 'x'.repeat(257) })).toBe('reason')
    expect(await fieldOf('a', { durationMinutes: 24 * 60 })).toBe('ok')
  })

  it('[M19] is one set of locks for one repository under two project ids, and two sets for two projects', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const other = ProjectId.parse('00000000-0000-4000-8000-000000000002')
    lab.projects.push({ id: other, repository: null, isDeleted: false })
    const wish = { path: 'a.ts', instanceId: 'two' }
    const inOther = () => passing(lab, b.locks.acquire(b.actor(token('two')), other, wish))
    valueOf(await lock(a, 'a.ts', 'one'))
    valueOf(await inOther())
    expect([await shown(a), valueOf(await a.locks.list(other)).length]).toEqual([['a.ts one'], 1])
    for (const project of lab.projects) project.repository = { rootCommit: 'f'.repeat(40), remote: 'git@host:x' }
    valueOf(await lock(a, 'a.ts', 'one'))
    expect(codeOf(await inOther())).toBe('lock_held')
  })

  it('answers the same instance and token again with what it holds, for longer when asked', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const mine = valueOf(await lock(a, 'a.ts', 'one'))
    expect(valueOf(await lock(a, 'a.ts', 'one', { durationMinutes: 10 }))).toEqual(mine)
    const now = lab.clock.wallMs()
    const longer = { ...mine, expiresAt: new Date(now + 60 * 60_000).toISOString() }
    expect(valueOf(await lock(a, 'a.ts', 'one', { durationMinutes: 60 }))).toEqual(longer)
    expect(valueOf(await lock(b, 'a.ts', 'one', { durationMinutes: 60 }))).toEqual(longer)
    expect(await list(b)).toEqual([longer])
    expect([a.leases.held().length, b.leases.held().length]).toEqual([1, 0])
    expect(b.told.map(({ type }) => type)).toEqual(['file.locked'])
  })
})

describe('ending', () => {
  it('is for the instance and the token that locked, or the fencing token with the ability', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const fencingToken = valueOf(await lock(a, 'a.ts', 'one')).fencingToken!
    const no = 'lock_not_held_by_caller'
    expect(codeOf(await release(a, 'a.ts', 'two'))).toBe(no)
    expect(codeOf(await release(a, 'a.ts', 'one', 'stolen name'))).toBe(no)
    expect(codeOf(await release(a, 'a.ts', 'two', token('one')))).toBe(no)
    const withToken = (abilities: string[], number: number) =>
      passing(
        lab,
        b.locks.release(b.actor('other', abilities), PROJECT, {
          path: 'a.ts',
          instanceId: 'one',
          fencingToken: number,
        }),
      )
    expect(codeOf(await withToken([], fencingToken))).toBe(no)
    expect(codeOf(await withToken(['lock:write'], fencingToken - 1))).toBe(no)
    expect(codeOf(await withToken(['lock:write'], fencingToken))).toBe('ok')
    expect(codeOf(await release(a, 'a.ts', 'one'))).toBe(no)
  })

  it('gives everything back that one holder has on the path', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const wish = { paths: ['a.ts', 'b.ts'], instanceId: 'one', allOrNothing: true }
    const twice = [1, 2].map(() => a.locks.bulk(a.actor(token('one')), PROJECT, wish))
    const [first, second] = await passing(lab, Promise.all(twice))
    expect([codeOf(first!), codeOf(second!)]).toEqual(['ok', 'ok'])
    await settle()
    expect(codeOf(await release(b, 'a.ts', 'one'))).toBe('ok')
    expect([await shown(a), await shown(b)]).toEqual([['b.ts one'], ['b.ts one']])
    expect(codeOf(await lock(b, 'a.ts', 'two'))).toBe('ok')
    expect(codeOf(await release(b, 'b.ts', 'one'))).toBe('ok')
    expect(a.leases.held()).toEqual([])
  })

  it('gives back what its node is not sure of, which then does not come back', async () => {
    lab = await ClaimLab.create()
    const [voter, holder] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(holder, 'a.ts', 'one'))
    valueOf(await lock(holder, 'b.ts', 'one'))
    valueOf(await lock(holder, 'c.ts', 'two'))
    valueOf(await bulk(holder, ['d.ts', 'e.ts'], 'three', true))
    await lab.pass(5000)
    await lab.split([voter], [holder])
    await lab.pass(58_000)
    expect([await shown(holder), holder.leases.held().length]).toEqual([[], 4])
    expect(codeOf(await release(holder, 'a.ts', 'two'))).toBe('lock_not_held_by_caller')
    expect(codeOf(await release(holder, 'a.ts', 'one'))).toBe('ok')
    const byInstance = holder.locks.releaseByInstance(holder.actor(token('two')), {
      projectId: PROJECT,
      instanceId: 'two',
    })
    expect(valueOf(await passing(lab, byInstance)).released).toEqual(['c.ts'])
    await lab.heal()
    await lab.pass(5000)
    expect((await shown(voter)).toSorted()).toEqual(['b.ts one', 'd.ts three', 'e.ts three'])
    const admin = voter.actor('admin', ['lock:admin'])
    await lab.split([voter], [holder])
    await lab.pass(58_000)
    const taken = holder.locks.forceRelease({ ...admin, gateway: holder.peer }, PROJECT, 'b.ts')
    expect(codeOf(await passing(lab, taken))).toBe('ok')
    expect(codeOf(await release(holder, 'd.ts', 'three'))).toBe('ok')
    await lab.heal()
    await lab.pass(5000)
    // Of the lease on both, nothing could be kept while the voter was away.
    expect([await shown(voter), holder.leases.held()]).toEqual([[], []])
  })

  it('[A-C1] works through another node, and frees the path for everybody at once', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(a, 'a.ts', 'one'))
    expect(codeOf(await release(b, 'a.ts', 'one'))).toBe('ok')
    expect([await list(a), await list(b)]).toEqual([[], []])
    expect(codeOf(await lock(b, 'a.ts', 'two'))).toBe('ok')
    for (const node of [a, b]) {
      expect(node.told.map(({ type }) => type)).toEqual(['file.locked', 'file.unlocked', 'file.locked'])
      expect(node.told[1]).toEqual({ type: 'file.unlocked', projectId: PROJECT, path: 'a.ts' })
    }
  })

  it('extends, up to a day from now, here and through another node', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const mine = valueOf(await lock(a, 'a.ts', 'one'))
    const extend = (node: LabNode, additionalMinutes: number, by = token('one')) =>
      passing(lab, node.locks.extend(node.actor(by), PROJECT, { path: 'a.ts', instanceId: 'one', additionalMinutes }))
    const until = (ms: number) => ({ ...mine, expiresAt: new Date(ms).toISOString() })
    expect(valueOf(await extend(b, 15))).toEqual(until(Date.parse(mine.expiresAt) + 15 * 60_000))
    expect(codeOf(await extend(b, 15, 'other'))).toBe('lock_not_held_by_caller')
    const now = lab.clock.wallMs()
    expect(valueOf(await extend(a, 24 * 60))).toEqual(until(now + 24 * 60 * 60_000))
    await lab.pass(3_600_000)
    expect(await shown(b)).toEqual(['a.ts one'])
  })

  it('is forced only with the ability, through the holder’s node, and is not possible while that is offline', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(b, 'a.ts', 'one'))
    const force = (abilities: string[]) =>
      passing(lab, a.locks.forceRelease(a.actor('admin', abilities), PROJECT, 'a.ts'))
    expect(codeOf(await force(['lock:write']))).toBe('forbidden')
    // The holder's node does not take another's word for it.
    const call = {
      actor: a.actor('admin', ['lock:write']),
      input: { projectId: PROJECT, path: 'a.ts' },
      reply: z.unknown(),
    }
    expect(codeOf(await passing(lab, a.rpc.call(b.peer, 'lock.forceRelease', call)))).toBe('forbidden')
    expect(codeOf(await force(['lock:admin']))).toBe('ok')
    expect([await list(a), b.leases.held()]).toEqual([[], []])
    expect(b.log.lines.filter(({ message }) => message === 'a lock was taken away')).toHaveLength(1)
    expect(codeOf(await force(['lock:admin']))).toBe('lock_not_held_by_caller')
    valueOf(await lock(b, 'a.ts', 'one'))
    lab.disconnect(b)
    expect(codeOf(await force(['lock:admin']))).toBe('machine_offline')
    expect(codeOf(await force(['lock:write']))).toBe('forbidden')
  })
})

describe('many at once', () => {
  it('gets all it can, and says of each of the rest why not', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(b, 'src/User.ts', 'two', { reason: 'adding fields' }))
    const { acquired, failed } = valueOf(await bulk(a, ['src/a.ts', './src/a.ts', 'src/User.ts', '../x'], 'one'))
    expect(acquired.map(({ path }) => path)).toEqual(['src/a.ts'])
    expect(failed.map(({ path, error }) => [path, error.code, error.details?.holder?.reason])).toEqual([
      ['../x', 'invalid_input', undefined],
      ['src/User.ts', 'lock_held', 'adding fields'],
    ])
  })

  it('holds a hundred paths, shown everywhere', async () => {
    lab = await ClaimLab.create({ nodes: 2, voters: 1 })
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const paths = Array.from({ length: 100 }, (_, i) => `src/file-${String(i).padStart(3, '0')}.ts`)
    const { acquired, failed } = valueOf(await bulk(a, paths, 'one'))
    await lab.sync()
    expect([acquired.length, failed]).toEqual([100, []])
    expect((await list(b)).map(({ path }) => path)).toEqual(paths)
  })

  it('takes all or nothing by one lease', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(b, 'c', 'two'))
    const none = valueOf(await bulk(a, ['a', 'b', 'c'], 'one', true))
    expect([none.acquired, none.failed.map(({ path, error }) => [path, error.code])]).toEqual([
      [],
      [
        ['a', 'lock_held'],
        ['b', 'lock_held'],
        ['c', 'lock_held'],
      ],
    ])
    expect(await shown(a)).toEqual(['c two'])
    valueOf(await lock(a, 'a', 'one'))
    const all = valueOf(await bulk(a, ['a', 'b', 'd'], 'one', true))
    expect(all.acquired.map(({ path }) => path)).toEqual(['a', 'b', 'd'])
    await settle()
    expect([await shown(b), a.leases.held().length]).toEqual([['a one', 'b one', 'c two', 'd one'], 2])
  })

  it('grants two hundred paths by one lease, and shows all that it grants, also where letters take three bytes', async () => {
    lab = await ClaimLab.create({ nodes: 2 })
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const names = (letters: number): string[] =>
      Array.from({ length: 200 }, (_, n) => `${String.fromCodePoint(0x4e00 + n).repeat(letters)}.ts`)
    const { acquired } = valueOf(await bulk(a, names(60), 'one', true))
    await settle()
    expect([acquired.length, (await list(a)).length, (await list(b)).length]).toEqual([200, 200, 200])
    const { acquired: none, failed } = valueOf(await bulk(a, names(200), 'two', true))
    expect([none, new Set(failed.map(({ error }) => error.code))]).toEqual([[], new Set(['too_large'])])
  })

  it('gives one path of a common lease back and keeps the others held all the time', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await bulk(a, ['a', 'b', 'c'], 'one', true))
    // Long held: what follows is news all the same, before any heartbeat names it.
    await lab.pass(600_000)
    b.told.length = 0
    expect(codeOf(await release(b, 'b', 'one'))).toBe('ok')
    expect([await shown(a), await shown(b)]).toEqual([
      ['a one', 'c one'],
      ['a one', 'c one'],
    ])
    expect(b.told).toEqual([{ type: 'file.unlocked', projectId: PROJECT, path: 'b' }])
    expect(codeOf(await lock(b, 'a', 'two'))).toBe('lock_held')
    expect(codeOf(await lock(b, 'b', 'two'))).toBe('ok')
  })
})

describe('what is shown', () => {
  it('[L2.9] ends by itself when its time is up', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(a, 'a.ts', 'one', { durationMinutes: 2 }))
    await lab.pass(115_000)
    expect([await shown(a), await shown(b)]).toEqual([['a.ts one'], ['a.ts one']])
    await lab.pass(10_000)
    expect([await shown(a), await shown(b)]).toEqual([[], []])
    for (const node of [a, b]) expect(node.told.map(({ type }) => type)).toEqual(['file.locked', 'file.unlocked'])
  })

  it('[L2.10] disappears everywhere within one lease when the holder’s node dies, and can be taken', async () => {
    lab = await ClaimLab.create({ nodes: 3, voters: 3 })
    const [a, b, c] = [lab.nodes[0]!, lab.nodes[1]!, lab.nodes[2]!]
    valueOf(await lock(c, 'a.ts', 'one'))
    await lab.pass(70_000)
    expect(await shown(a)).toEqual(['a.ts one'])
    lab.disconnect(c)
    await lab.pass(65_000)
    expect([await shown(a), await shown(b)]).toEqual([[], []])
    expect(a.told.map(({ type }) => type)).toEqual(['file.locked', 'file.unlocked'])
    expect(codeOf(await lock(b, 'a.ts', 'two'))).toBe('ok')
    expect(await shown(a)).toEqual(['a.ts two'])
  })

  it('[D9] stays the same over many changes, in a document that stays small', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    valueOf(await lock(a, 'kept.ts', 'one'))
    for (let i = 0; i < 120; i++) {
      valueOf(await lock(a, `src/${i}.ts`, 'one'))
      valueOf(await release(a, `src/${i}.ts`, 'one'))
    }
    expect([await shown(a), await shown(b)]).toEqual([['kept.ts one'], ['kept.ts one']])
    const live = b.documents.list().filter((doc) => doc.startsWith(`live/${a.peer}/`))
    expect(live).toHaveLength(1)
    expect(Number(live[0]?.split('/')[2])).toBeGreaterThan(1_000_001)
    const kept = b.told.filter((event) => event.type === 'file.locked' && event.lock.path === 'kept.ts')
    expect(kept).toHaveLength(1)
    expect(b.told.filter(({ type }) => type === 'file.unlocked')).toHaveLength(120)
  })

  it('[M13] ignores a lock that its certificate does not prove', async () => {
    lab = await ClaimLab.create()
    const [a, b] = [lab.nodes[0]!, lab.nodes[1]!]
    const mine = valueOf(await lock(b, 'a.ts', 'one'))
    const certificate = certificateBytes(b.leases.find(mine.leaseId)!.certificate)
    const record = { lease: mine.leaseId, project: PROJECT, instance: mine.instanceId, token: mine.fencingToken! }
    const { tokenId, lockedAt, expiresAt } = mine
    const rest = { tokenId, reason: null, lockedAt, expiresAt, grantedAt: lockedAt }
    const doc = b.documents.list().find((id) => id.startsWith(`live/${b.peer}/`))!
    await b.documents.write(doc, undefined, (state) => {
      const forge = (n: number, change: Partial<CertifiedRecord>): void =>
        putLock(
          state,
          `${mine.leaseId}/${n}`,
          { ...record, ...rest, key: `${PROJECT}/b.ts`, path: 'b.ts', ...change },
          certificate,
        )
      forge(1, {})
      forge(2, { key: `${PROJECT}/a.ts`, path: 'c.ts' })
      forge(3, { key: `${PROJECT}/a.ts`, path: 'a.ts', pattern: 'src/*', token: mine.fencingToken! })
      forge(4, { key: `${PROJECT}/a.ts`, path: 'a.ts', token: mine.fencingToken! + 1 })
      forge(5, { key: `${PROJECT}/a.ts`, path: 'a.ts', instance: InstanceId.parse('somebody else') })
    })
    await settle()
    expect(await list(a)).toEqual([mine])
    await b.documents.write(doc, undefined, (state) => dropLock(state, `${mine.leaseId}/0`))
    await settle()
    expect(await list(a)).toEqual([])
  })
})

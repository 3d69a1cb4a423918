import { afterEach, describe, expect, it } from 'vitest'
import type { FileLock } from '../../../../crdt/lock.ts'
import { ClaimLab, codeOf, passing, PROJECT, valueOf, type LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'

let lab: ClaimLab
afterEach(() => lab.close())

const token = (instance: string): string => `token of ${instance}`

async function lock(node: LabNode, path: string, instanceId: string, more: object = {}) {
  const wish = { path, instanceId, ...more }
  const result = await passing(lab, node.locks.acquire(node.actor(token(instanceId)), PROJECT, wish))
  await settle()
  return result
}

const release = (node: LabNode, path: string, instanceId: string) =>
  passing(lab, node.locks.release(node.actor(token(instanceId)), PROJECT, { path, instanceId }))
const list = async (node: LabNode): Promise<readonly FileLock[]> => valueOf(await node.locks.list(PROJECT))
const notices = async (node: LabNode): Promise<string[]> =>
  valueOf(await node.locks.notices(PROJECT)).map(({ why, paths, instanceId }) => `${instanceId} ${why} ${paths.join()}`)
const types = (node: LabNode): string[] => node.told.map(({ type }) => type)

async function two(): Promise<[voter: LabNode, holder: LabNode]> {
  lab = await ClaimLab.create({ nodes: 2, voters: 1 })
  await lab.pass(5000)
  return [lab.nodes[0]!, lab.nodes[1]!]
}

async function restart(n: number): Promise<LabNode> {
  const again = await lab.restart(n)
  await lab.pass(5000)
  return again
}

describe('[L2.11] a lock whose node restarts', () => {
  it('goes on: the same lock under the same token, and nobody is told anything', async () => {
    const [voter, holder] = await two()
    const mine = valueOf(await lock(holder, 'a.ts', 'one'))
    const again = await restart(1)
    expect([await list(again), await list(voter)]).toEqual([[mine], [mine]])
    expect([types(voter), types(again), await notices(voter)]).toEqual([['file.locked'], ['file.locked'], []])
    expect(again.leases.find(mine.leaseId)?.fencingToken).toBe(mine.fencingToken)
    expect(codeOf(await lock(voter, 'a.ts', 'two'))).toBe('lock_held')
    await lab.pass(180_000)
    expect([await list(voter), codeOf(await lock(again, 'a.ts', 'one'))]).toEqual([[mine], 'ok'])
    expect(codeOf(await release(voter, 'a.ts', 'one'))).toBe('ok')
    await settle()
    expect([await list(voter), await list(again), again.leases.held()]).toEqual([[], [], []])
    expect(codeOf(await lock(voter, 'a.ts', 'two'))).toBe('ok')
  })

  it('goes on where the restarted node is the voter itself', async () => {
    const [voter, other] = await two()
    const mine = valueOf(await lock(voter, 'a.ts', 'one'))
    const again = await restart(0)
    expect([await list(again), await list(other)]).toEqual([[mine], [mine]])
    expect(codeOf(await lock(other, 'a.ts', 'two'))).toBe('lock_held')
  })

  it('goes on restart after restart, also through one that came before the voters had answered', async () => {
    const [voter, holder] = await two()
    const mine = valueOf(await lock(holder, 'a.ts', 'one'))
    lab.disconnect(voter)
    await lab.restart(1)
    await lab.pass(3000)
    await lab.restart(1)
    await lab.reconnect(voter)
    await lab.pass(5000)
    const again = await restart(1)
    expect([await list(again), await list(voter)]).toEqual([[mine], [mine]])
  })

  it('is its holder’s as soon as it is known to be: whoever asks before waits', async () => {
    const [voter, holder] = await two()
    valueOf(await lock(holder, 'a.ts', 'one'))
    const again = await lab.restart(1)
    expect(codeOf(await release(again, 'a.ts', 'one'))).toBe('ok')
    await settle()
    expect([await list(again), await list(voter)]).toEqual([[], []])
  })

  it('covers all its paths, and lasts no longer than it was taken for', async () => {
    const [voter, holder] = await two()
    const wish = { instanceId: 'one', paths: ['a', 'b/', 'c/*.ts'], allOrNothing: true, durationMinutes: 2 }
    const { acquired } = valueOf(await passing(lab, holder.locks.bulk(holder.actor(token('one')), PROJECT, wish)))
    await lab.pass(30_000)
    const again = await restart(1)
    expect(await list(again)).toEqual(acquired)
    await lab.pass(95_000)
    expect([await list(again), await list(voter), await notices(voter)]).toEqual([[], [], []])
    // Its time was up while nobody looked: that is no news.
    valueOf(await lock(again, 'a', 'one', { durationMinutes: 1 }))
    await lab.crash(again)
    await lab.pass(70_000)
    const last = await restart(1)
    expect([await list(last), await notices(last)]).toEqual([[], []])
  })

  it('goes on with two hundred paths of one lease', async () => {
    const [voter, holder] = await two()
    const paths = Array.from({ length: 200 }, (_, n) => `src/${'a/rather/long/path/'.repeat(4)}${n}.ts`)
    const wish = { paths, instanceId: 'one', allOrNothing: true }
    const { acquired } = valueOf(await passing(lab, holder.locks.bulk(holder.actor(token('one')), PROJECT, wish)))
    expect(acquired.length).toBe(200)
    const again = await restart(1)
    expect([(await list(again)).length, (await list(voter)).length]).toEqual([200, 200])
  })

  it('was given back before: nothing comes back', async () => {
    const [voter, holder] = await two()
    valueOf(await lock(holder, 'a.ts', 'one'))
    expect(codeOf(await release(holder, 'a.ts', 'one'))).toBe('ok')
    const again = await restart(1)
    expect([await list(again), await list(voter), await notices(again)]).toEqual([[], [], []])
  })

  it('is lost, with one notice, when somebody else was granted it meanwhile', async () => {
    const [voter, holder] = await two()
    const mine = valueOf(await lock(holder, 'a.ts', 'one', { durationMinutes: 60 }))
    await lab.crash(holder)
    await lab.pass(90_000)
    const theirs = valueOf(await lock(voter, 'a.ts', 'two', { durationMinutes: 60 }))
    expect(theirs.fencingToken).toBeGreaterThan(mine.fencingToken!)
    const again = await restart(1)
    await lab.pass(10_000)
    expect([await list(again), await list(voter)]).toEqual([[theirs], [theirs]])
    expect([await notices(again), await notices(voter)]).toEqual([
      ['one owner-restart a.ts'],
      ['one owner-restart a.ts'],
    ])
    const once = await restart(1)
    expect([await notices(once), await list(once)]).toEqual([['one owner-restart a.ts'], [theirs]])
  })

  it('goes on after longer than a lease lasts, when nobody else was granted it', async () => {
    const [voter, holder] = await two()
    const mine = valueOf(await lock(holder, 'a.ts', 'one'))
    await lab.crash(holder)
    await lab.pass(120_000)
    expect(await list(voter)).toEqual([])
    const again = await restart(1)
    await lab.pass(10_000)
    expect([await list(again), await list(voter), await notices(voter)]).toEqual([[mine], [mine], []])
  })

  it('is lost, with a notice, when the voters cannot be reached for long', async () => {
    const [voter, holder] = await two()
    valueOf(await lock(holder, 'a.ts', 'one'))
    lab.disconnect(voter)
    const again = await lab.restart(1)
    await lab.pass(30_000)
    expect([await list(again), await notices(again)]).toEqual([[], ['one owner-restart a.ts']])
    await lab.reconnect(voter)
    await lab.pass(70_000)
    expect(codeOf(await lock(voter, 'a.ts', 'two'))).toBe('ok')
  })

  it('is given back at once when its agent has ended', async () => {
    const [voter, holder] = await two()
    valueOf(await lock(holder, 'a.ts', 'one'))
    valueOf(await lock(holder, 'b.ts', 'two'))
    lab.ended.add('one')
    const again = await restart(1)
    expect((await list(voter)).map(({ path }) => path)).toEqual(['b.ts'])
    expect(await notices(again)).toEqual([])
    expect(codeOf(await lock(voter, 'a.ts', 'three'))).toBe('ok')
  })

  it('[P5] was provisional once: it goes on, and its claim ended well', async () => {
    const [voter, holder] = await two()
    await lab.split([voter], [holder])
    await lab.pass(20_000)
    expect(valueOf(await lock(holder, 'a.ts', 'one')).guarantee).toBe('provisional')
    await lab.heal()
    // The certificate is on disk; that the claim is closed is not.
    const append = holder.store.append.bind(holder.store)
    holder.store.append = async (envelopes) => {
      if (envelopes.some(({ author }) => author === holder.peer)) throw new Error('the disk is full')
      await append(envelopes)
    }
    await lab.pass(10_000)
    const [mine] = await list(voter)
    expect(mine?.guarantee).toBe('certified')
    const again = await restart(1)
    expect([await list(again), await notices(again)]).toEqual([[mine], []])
  })

  it('[D7] is not given by a node whose disk cannot keep it', async () => {
    const [voter, holder] = await two()
    holder.store.failWith(new Error('the disk is full'))
    expect(codeOf(await lock(holder, 'a.ts', 'one'))).toBe('storage_failed')
    holder.store.failWith(undefined)
    expect([await list(holder), codeOf(await lock(voter, 'a.ts', 'two'))]).toEqual([[], 'ok'])
  })
})

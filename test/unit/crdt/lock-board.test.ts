import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { InstanceId, ProjectId } from '../../../crdt/ids.ts'
import { dropLock, markReady, putLock } from '../../../crdt/live-document.ts'
import { LockBoard, lockEvents, type LockBoardRules } from '../../../crdt/lock-board.ts'
import type { CertifiedRecord } from '../../../crdt/lock-record.ts'
import { identity } from '../../support/identity.ts'

const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')
const A = identity(1).peer
const B = identity(2).peer
const lease = (n: number): string => n.toString(16).padStart(32, '0')
const certificate = new Uint8Array([1])

const record = (path: string, token: number, change: Partial<CertifiedRecord> = {}): CertifiedRecord => ({
  lease: lease(token),
  project: PROJECT,
  key: `p/${path.replace(/\/$/, '')}`,
  path,
  instance: InstanceId.parse(`agent-${token}`),
  tokenId: 'token',
  reason: null,
  lockedAt: '2026-01-01T00:00:00.000Z',
  expiresAt: '2026-01-01T00:30:00.000Z',
  grantedAt: '2026-01-01T00:00:00.000Z',
  token,
  ...change,
})

const board = (rules: Partial<LockBoardRules> = {}): LockBoard =>
  new LockBoard({ verify: () => true, isLive: () => true, ...rules })

function live(records: readonly CertifiedRecord[]): Y.Doc {
  const doc = new Y.Doc()
  doc.transact(() => {
    for (const one of records) putLock(doc, `${one.lease}/0`, one, certificate)
    markReady(doc)
  })
  return doc
}

const shown = (of: LockBoard): string[] => of.list('p').map(({ record }) => `${record.path} ${record.instance}`)

describe('locks', () => {
  it('[L2.10] of two members on one path show as that of the higher token, and only while it is live', () => {
    const dead = new Set<string>()
    const locks = board({ isLive: (_node, { lease }) => !dead.has(lease) })
    locks.sync(A, 1, live([record('a', 9)]))
    locks.sync(B, 1, live([record('a', 5), record('b', 6)]))
    expect(shown(locks)).toEqual(['a agent-9', 'b agent-6'])
    dead.add(lease(9))
    locks.refresh()
    expect(shown(locks)).toEqual(['a agent-5', 'b agent-6'])
  })

  it('[M13] show only when they make sense and were granted', () => {
    const doc = live([record('a', 1), record('b', 2)])
    doc.transact(() => {
      doc.getMap('locks').set('x', { ...record('c', 3), expiresAt: 'soon' })
      doc.getMap('locks').set('y', 'text')
      doc.getMap('locks').set('z', record('d', 4)) // no certificate
    })
    const locks = board({ verify: (_node, { token }) => token === 2 })
    locks.sync(A, 1, doc)
    expect(shown(locks)).toEqual(['b agent-2'])
  })

  it('come from the newest generation that is complete', () => {
    const locks = board()
    const told: string[] = []
    const sync = (generation: number, doc: Y.Doc): void => {
      for (const change of locks.sync(A, generation, doc)) told.push(...lockEvents(change).map(({ type }) => type))
    }
    const first = live([record('a', 1), record('b', 2)])
    sync(1, first)
    const second = new Y.Doc()
    putLock(second, `${lease(1)}/0`, record('a', 1), certificate)
    sync(2, second)
    expect(shown(locks)).toEqual(['a agent-1', 'b agent-2'])
    markReady(second)
    sync(2, second)
    expect(shown(locks)).toEqual(['a agent-1'])
    sync(1, first)
    expect(shown(locks)).toEqual(['a agent-1'])
    expect(told).toEqual(['file.locked', 'file.locked', 'file.unlocked'])
  })

  it('are no event when they last longer or move to another lease of their holder', () => {
    const locks = board()
    const doc = live([record('a', 1)])
    locks.sync(A, 1, doc)
    putLock(doc, `${lease(1)}/0`, record('a', 1, { expiresAt: '2026-01-01T01:00:00.000Z' }), certificate)
    expect(locks.sync(A, 1, doc).flatMap(lockEvents)).toEqual([])
    putLock(doc, `${lease(2)}/0`, record('a', 2, { instance: InstanceId.parse('agent-1') }), certificate)
    expect(locks.sync(A, 1, doc).flatMap(lockEvents)).toEqual([])
    putLock(doc, `${lease(3)}/0`, record('a', 3), certificate)
    expect(
      locks
        .sync(A, 1, doc)
        .flatMap(lockEvents)
        .map(({ type }) => type),
    ).toEqual(['file.locked'])
  })

  it('leave no certificate behind once the last path of a lease is gone', () => {
    const doc = new Y.Doc()
    putLock(doc, `${lease(1)}/0`, record('a', 1), certificate)
    putLock(doc, `${lease(1)}/1`, record('b', 1), certificate)
    dropLock(doc, `${lease(1)}/0`)
    expect([...doc.getMap('certificates').keys()]).toEqual([lease(1)])
    dropLock(doc, `${lease(1)}/1`)
    expect([...doc.getMap('certificates').keys()]).toEqual([])
  })
})

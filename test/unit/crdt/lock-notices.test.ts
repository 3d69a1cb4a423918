import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import { InstanceId, ProjectId } from '../../../crdt/ids.ts'
import {
  dropNotice,
  NOTICES_KEPT_MAX,
  openClaims,
  putNotice,
  readNotices,
  type NoticeRecord,
} from '../../../crdt/lock-notices.ts'
import { identity } from '../../support/identity.ts'

const PROJECT = ProjectId.parse('00000000-0000-4000-8000-000000000001')
const A = identity(1).peer
const B = identity(2).peer
const claim = (n: number): string => n.toString(16).padStart(32, '0')
const at = (n: number): string => new Date(1_800_000_000_000 + n).toISOString()
const open = (n: number): NoticeRecord & { state: 'open' } => ({
  claim: claim(n),
  state: 'open',
  paths: ['a'],
  instance: InstanceId.parse('one'),
  at: at(0),
})
const restart = (n: number): NoticeRecord => ({ ...open(n), state: 'owner-restart', ended: at(n) })
const idsOf = (doc: Y.Doc): string[] => readNotices(doc, PROJECT).map(({ id }) => id)

describe('notices', () => {
  it('[P5] replace the open claim, and are read of all authors in the order of their ends', () => {
    const doc = new Y.Doc()
    putNotice(doc, A, open(3))
    putNotice(doc, A, open(1))
    putNotice(doc, B, restart(2))
    expect([idsOf(doc), openClaims(doc, A).length]).toEqual([[claim(2)], 2])
    putNotice(doc, A, restart(3))
    putNotice(doc, A, restart(1))
    expect([idsOf(doc), openClaims(doc, A)]).toEqual([[claim(1), claim(2), claim(3)], []])
    expect([dropNotice(doc, B, claim(2)), dropNotice(doc, B, claim(2))]).toEqual([true, false])
    expect(idsOf(doc)).toEqual([claim(1), claim(3)])
  })

  it('[D9] are bounded per author: the oldest go, open claims stay, and the document stays small', () => {
    const doc = new Y.Doc()
    putNotice(doc, A, open(0))
    for (let n = 1; n <= 2000; n++) {
      putNotice(doc, A, open(n))
      putNotice(doc, A, restart(n))
    }
    expect(idsOf(doc)).toEqual(Array.from({ length: NOTICES_KEPT_MAX }, (_, i) => claim(2001 - NOTICES_KEPT_MAX + i)))
    expect(openClaims(doc, A)).toEqual([open(0)])
    expect(Y.encodeStateAsUpdate(doc).byteLength).toBeLessThan(64 * 1024)
  })

  it('[M13] that make no sense are not there', () => {
    const doc = new Y.Doc()
    doc.getArray(`lock-notices/${A}`).push(['text', { claim: 'x' }, restart(1), { ...restart(2), ended: 'soon' }])
    doc.getArray('lock-notices/nobody').push([restart(3)])
    expect(idsOf(doc)).toEqual([claim(1)])
    expect(openClaims(doc, B)).toEqual([])
  })
})

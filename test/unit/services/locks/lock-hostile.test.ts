import { describe, expect, it } from 'vitest'
import { liveDoc, type DocId } from '../../../../crdt/ids.ts'
import { markReady, putLock } from '../../../../crdt/live-document.ts'
import type { CertifiedRecord, LockRecord } from '../../../../crdt/lock-record.ts'
import { NotWritableError } from '../../../../node/services/feeds/documents.ts'
import type { LabNode } from '../../../support/claim-lab.ts'
import { settle } from '../../../support/clock.ts'
import { LockCalls, locksOf } from '../../../support/lock-calls.ts'

/** Above every generation and token that there is. */
const ANY = Number.MAX_SAFE_INTEGER

const newestLive = ({ documents }: LabNode, { peer }: LabNode): DocId => {
  const generations = documents.list().flatMap((doc) => {
    const [kind, of, generation] = doc.split('/')
    return kind === 'live' && of === peer ? [Number(generation)] : []
  })
  return liveDoc(peer, Math.max(...generations))
}

async function withLock(
  run: (mesh: {
    hostile: LabNode
    holder: LabNode
    calls: LockCalls
    shown: () => Promise<unknown[]>
  }) => Promise<void>,
): Promise<void> {
  await LockCalls.in({ nodes: 3, voters: 1 }, async (calls, nodes) => {
    const [, holder, hostile] = nodes as [LabNode, LabNode, LabNode]
    await calls.lock(holder, 'a.ts', 'agent')
    const shown = async () =>
      (await Promise.all(calls.nodes.map(locksOf))).map((locks) =>
        locks.flatMap(({ path, tokenId }) => (path === 'a.ts' ? [tokenId] : [])),
      )
    expect(await shown()).toEqual(calls.nodes.map(() => ['token of agent']))
    await run({ hostile, holder, calls, shown })
  })
}

describe('a hostile member', () => {
  it('[M11] cannot write what another holds, in whichever generation', async () => {
    await withLock(async ({ hostile, holder }) => {
      for (const doc of [newestLive(hostile, holder), liveDoc(holder.peer, ANY)]) {
        const forged = hostile.documents.write(doc, undefined, markReady)
        await expect(forged).rejects.toThrow(NotWritableError)
      }
    })
  })

  it('[L2.6] cannot hide the lock of another behind one that nobody granted', async () => {
    await withLock(async ({ hostile, holder, calls, shown }) => {
      const theirs = await hostile.documents.read(newestLive(hostile, holder), (state) => ({
        record: [...state.getMap('locks').values()][0] as CertifiedRecord,
        certificate: [...state.getMap('certificates').values()][0] as Uint8Array,
      }))
      await calls.lock(hostile, 'b.ts', 'mallory')
      const own = await hostile.documents.read(newestLive(hostile, hostile), (state) => ({
        record: [...state.getMap('locks').values()][0] as CertifiedRecord,
        certificate: [...state.getMap('certificates').values()][0] as Uint8Array,
      }))
      const { grantedAt: _, ...shared } = theirs.record
      const provisional: LockRecord = {
        ...shared,
        token: null,
        hlc: { ms: 0, n: 0 },
        settled: true,
        missing: [],
      }
      const forged: readonly [LockRecord, Uint8Array][] = [
        [{ ...theirs.record, tokenId: 'stolen' }, theirs.certificate],
        [{ ...theirs.record, token: ANY, tokenId: 'stolen' }, theirs.certificate],
        [{ ...own.record, key: theirs.record.key, path: theirs.record.path }, own.certificate],
        [{ ...provisional, lease: 'e'.repeat(32), tokenId: 'stolen' }, new Uint8Array()],
      ]
      await hostile.documents.write(liveDoc(hostile.peer, ANY), undefined, (state) => {
        for (const [n, [record, certificate]] of forged.entries())
          putLock(state, `${record.lease}/${n}`, record, certificate)
        markReady(state)
      })
      await settle()
      expect(await shown()).toEqual(calls.nodes.map(() => ['token of agent']))
      expect(await calls.release(holder, 'a.ts', 'agent')).toBe('ok')
    })
  })
})

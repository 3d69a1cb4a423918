import { describe, expect, it } from 'vitest'
import type { DocId, PeerId } from '../../../../crdt/ids.ts'
import { createSyncLag } from '../../../../node/services/sync/sync-lag.ts'
import { createSkews } from '../../../../node/services/sync/presence-skew.ts'
import type { Vectors } from '../../../../protocols/sync.ts'
import { createManualClock } from '../../../support/clock.ts'
import { identity } from '../../../support/identity.ts'
import { OTHER_PROJECT, PROJECT, setKey } from '../../../support/replicas.ts'
import { createSyncLab } from '../../../support/sync-lab.ts'

const [ada, bob, cyd] = [identity(1).peer, identity(2).peer, identity(3).peer]

const vectors = (...heads: [DocId, PeerId, number][]): Vectors => {
  const all = new Map<DocId, Map<PeerId, { seq: number; hash: Uint8Array }>>()
  for (const [doc, author, seq] of heads)
    all.set(doc, (all.get(doc) ?? new Map()).set(author, { seq, hash: new Uint8Array(32) }))
  return all
}

function lagOf(ours: Vectors) {
  const state = { ours, frozen: new Map<PeerId, string>(), forks: [] as { doc: DocId; author: PeerId }[] }
  const clock = createManualClock()
  const feeds = {
    vectors: () => state.ours,
    frozen: () => state.frozen,
    forks: () => state.forks.map((fork) => ({ ...fork, seq: 1, proof: [new Uint8Array(), new Uint8Array()] as const })),
  }
  return { state, clock, lag: createSyncLag({ feeds, clock }) }
}

describe('lag between replicas', () => {
  it('[M16] counts what a member lacked, and what we lack of the one that is furthest', () => {
    const { lag } = lagOf(vectors([PROJECT, ada, 5], [OTHER_PROJECT, ada, 2]))
    lag.heard(bob, vectors([PROJECT, ada, 3], [PROJECT, bob, 4]), [])
    lag.heard(cyd, vectors([PROJECT, ada, 5], [OTHER_PROJECT, ada, 2], [PROJECT, bob, 6]), [])
    expect(Object.fromEntries(lag.members())).toEqual({ [bob]: 4, [cyd]: 0 })
    expect(lag.documents()).toEqual(new Map([[PROJECT, { envelopes: 6, sinceMs: expect.any(Number) }]]))
  })

  it('[M16] is gone when we have caught up, and when the member is', () => {
    const { lag, state } = lagOf(vectors())
    lag.heard(bob, vectors([PROJECT, bob, 4]), [])
    state.ours = vectors([PROJECT, bob, 3])
    expect(lag.documents().get(PROJECT)?.envelopes).toBe(1)
    state.ours = vectors([PROJECT, bob, 4])
    expect(lag.documents()).toEqual(new Map())
    state.ours = vectors()
    lag.forget(bob)
    expect([lag.documents(), lag.members()]).toEqual([new Map(), new Map()])
  })

  it('remembers since when a document lags, while it does', async () => {
    const { lag, state, clock } = lagOf(vectors())
    const startMs = clock.monoMs()
    lag.heard(bob, vectors([PROJECT, bob, 4]), [])
    await clock.advance(5000)
    lag.heard(bob, vectors([PROJECT, bob, 9]), [])
    expect(lag.documents().get(PROJECT)).toEqual({ envelopes: 9, sinceMs: startMs })
    state.ours = vectors([PROJECT, bob, 9])
    lag.heard(bob, vectors([PROJECT, bob, 12]), [])
    expect(lag.documents().get(PROJECT)).toEqual({ envelopes: 3, sinceMs: startMs + 5000 })
  })

  it('[M12] counts nothing of authors that one side refuses, or whose feed is forked', () => {
    const { lag, state } = lagOf(vectors([PROJECT, ada, 5]))
    state.frozen.set(bob, 'equivocation')
    lag.heard(cyd, vectors([PROJECT, bob, 4]), [ada])
    expect([lag.members().get(cyd), lag.documents()]).toEqual([0, new Map()])
    state.frozen.clear()
    state.forks.push({ doc: PROJECT, author: bob }, { doc: PROJECT, author: ada })
    lag.heard(cyd, vectors([PROJECT, bob, 4]), [])
    expect([lag.members().get(cyd), lag.documents()]).toEqual([0, new Map()])
  })

  it('[D12] bounds what is kept of one member', () => {
    const { lag } = lagOf(vectors())
    const many = Array.from({ length: 3000 }, (_, i): [DocId, PeerId, number] => [`project/${i}` as DocId, bob, 1])
    lag.heard(bob, vectors(...many), [])
    expect(lag.documents().size).toBe(1000)
  })

  it('[M16] shows between two nodes what one wrote while they were apart, and then no more', async () => {
    const lab = createSyncLab(2)
    const [a, b] = [await lab.node(0), await lab.node(1)]
    for (let i = 0; i < 3; i++) await a.documents.write(PROJECT, undefined, setKey(`k${i}`, i))
    await lab.connect(a.peer, b.peer)
    expect([a.sync.lag.members().get(b.peer), b.sync.lag.documents()]).toEqual([3, new Map()])
    lab.network.disconnect(a.peer, b.peer)
    expect(a.sync.lag.members()).toEqual(new Map())
  })
})

describe('clock skew', () => {
  it('takes the heartbeat that was fastest on its way, and half its round trip', () => {
    const skews = createSkews()
    expect(skews.of(ada, undefined)).toBeUndefined()
    for (const aheadMs of [-4000, 6990, 1000]) skews.heard(ada, aheadMs)
    expect(skews.of(ada, 20)).toBe(7000)
  })

  it('forgets a clock that was set right within a few heartbeats, and a member that is gone at once', () => {
    const skews = createSkews()
    skews.heard(ada, 60_000)
    for (let i = 0; i < 4; i++) skews.heard(ada, 5)
    expect(skews.of(ada, undefined)).toBe(5)
    skews.forget(ada)
    expect(skews.of(ada, undefined)).toBeUndefined()
  })
})

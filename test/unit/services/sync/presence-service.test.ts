import { describe, expect, it } from 'vitest'
import type { PeerId } from '../../../../crdt/ids.ts'
import { createPresence, type PresenceService } from '../../../../node/services/sync/presence-service.ts'
import { encodeCanonical } from '../../../../protocols/codec.ts'
import { decodeHeartbeat, signHeartbeat } from '../../../../protocols/presence.ts'
import { createManualClock, type ManualClock } from '../../../support/clock.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryNetwork, type MemoryNetwork } from '../../../support/memory-network.ts'
import { createMemoryStore, type MemoryStore } from '../../../support/memory-store.ts'
import { MESH } from '../../../support/replicas.ts'

const LEASE = '0'.repeat(32)

type Lab = {
  ttlMs?: number
  clock: ManualClock
  network: MemoryNetwork
  members: Map<PeerId, unknown>
  leases: string[]
}

const createLab = (count: number): Lab => ({
  clock: createManualClock(),
  network: createMemoryNetwork(),
  members: new Map(Array.from({ length: count }, (_, n) => [identity(n).peer, {}])),
  leases: [],
})

function create(lab: Lab, n: number, store: MemoryStore = createMemoryStore()): PresenceService {
  return createPresence({
    mesh: MESH,
    crypto,
    signer: identity(n),
    clock: lab.clock,
    log: createRecordedLog(),
    store,
    network: lab.network.join(identity(n).peer),
    members: () => lab.members,
    leases: () => lab.leases,
    sessions: () => 3,
    ...(lab.ttlMs === undefined ? {} : { ttlMs: lab.ttlMs }),
  })
}

/** Two started nodes, connected; every heartbeat of the first reaches the second, and its echo comes back. */
async function createPair(lab = createLab(2)) {
  const [near, far] = [create(lab, 0), create(lab, 1)]
  const [a, b] = [identity(0).peer, identity(1).peer]
  lab.network.connect(a, b)
  const sent: Uint8Array[] = []
  let isHeard = true
  near.onBeat((beat) => {
    sent.push(beat)
    if (!isHeard) return
    const echo = far.receive(beat, a)
    if (echo !== undefined) lab.clock.after(20, () => near.echoed(b, echo))
  })
  await far.start()
  await near.start()
  return { ...lab, near, far, a, b, sent, mute: () => (isHeard = false) }
}

describe('presence', () => {
  it('[M14] remembers for a while both of two processes that speak with one key, until they say goodbye', async () => {
    const lab = createLab(2)
    const { far, near, a, sent, clock, mute } = await createPair(lab)
    const boots = (): number[] => far.lately(a).map((beat) => decodeHeartbeat(beat).boot)
    expect(boots()).toEqual([1])
    const store = createMemoryStore()
    await store.putFact('presence.boot', encodeCanonical(40))
    const other = create(lab, 0, store)
    other.onBeat((beat) => void far.receive(beat, a))
    await other.start()
    await clock.advance(20_000)
    expect(boots()).toEqual([41, 1])
    expect(far.boot()).toBe(1)
    mute()
    await clock.advance(20_000)
    expect([boots(), sent.length > 5]).toEqual([[41], true])
    other.stop()
    near.stop()
    expect(boots()).toEqual([])
  })

  it('says what the node is doing, signed, every period', async () => {
    const lab = createLab(2)
    lab.leases.push(LEASE)
    const { sent, clock, a } = await createPair(lab)
    await clock.advance(10_000)
    expect(sent.map((beat) => decodeHeartbeat(beat).counter)).toEqual([1, 2, 3])
    expect(decodeHeartbeat(sent[0] ?? new Uint8Array())).toEqual({
      v: 1,
      mesh: MESH,
      peer: a,
      boot: 1,
      counter: 1,
      at: 1_800_000_000_000,
      kind: 'beat',
      leases: [LEASE],
      load: { sessions: 3 },
      sig: expect.any(Uint8Array),
    })
  })

  it('beats less often in a large mesh', async () => {
    const lab = createLab(100)
    const { sent, clock } = await createPair(lab)
    await clock.advance(9999)
    expect(sent).toHaveLength(1)
    await clock.advance(1)
    expect(sent).toHaveLength(2)
  })

  it('beats three times in the length of a lease, so that short leases do not go out at others between two beats', async () => {
    const { sent, clock } = await createPair({ ...createLab(2), ttlMs: 3000 })
    await clock.advance(3000)
    expect(sent).toHaveLength(4)
  })

  it('is online up to 1.5 periods after a heartbeat, stale up to 3, then away, and tells of it', async () => {
    const { far, a, clock, mute } = await createPair()
    const seen: string[] = []
    far.onChange((peer) => seen.push(far.state(peer)))
    mute()
    const states: string[] = []
    for (const ms of [7500, 1, 7499, 1]) {
      await clock.advance(ms)
      states.push(far.state(a))
    }
    expect(states).toEqual(['online', 'stale', 'stale', 'away'])
    await clock.advance(1000)
    expect(seen).toEqual(['stale', 'away'])
  })

  it('judges by monotonic time: neither a stepped wall clock nor a slept host makes others away', async () => {
    const { far, a, clock } = await createPair()
    clock.stepWall(86_400_000)
    clock.suspend(86_400_000)
    expect(far.state(a)).toBe('online')
  })

  it('is not online without a connection, however fresh the heartbeat', async () => {
    const { far, a, b, network, clock } = await createPair()
    const seen: string[] = []
    far.onChange((peer) => seen.push(far.state(peer)))
    network.disconnect(a, b)
    expect([far.state(a), seen]).toEqual(['stale', ['stale']])
    network.connect(a, b)
    await clock.advance(0)
    expect(far.state(a)).toBe('online')
  })

  it('is away at once after a goodbye, and before a suspension; a new beat brings it back', async () => {
    const { near, far, a, b } = await createPair()
    near.suspend()
    expect(far.state(a)).toBe('away')
    near.resume()
    expect(far.state(a)).toBe('online')
    near.stop()
    expect([far.state(a), near.greeting(b)]).toEqual(['away', undefined])
  })

  it('knows ourselves as online and who is no member as gone', async () => {
    const { far, near, a, b, members } = await createPair()
    expect([near.state(a), far.state(a)]).toEqual(['online', 'online'])
    members.delete(a)
    expect([far.state(a), far.state(identity(7).peer), near.state(b)]).toEqual(['gone', 'gone', 'away'])
  })

  it('measures the round trip by the echo of its own heartbeats only', async () => {
    const { near, b, a, network, clock } = await createPair()
    near.echoed(b, { boot: 1, counter: 99 })
    near.echoed(b, { boot: 2, counter: 1 })
    expect(near.rttMs(b)).toBeUndefined()
    await clock.advance(20)
    expect(near.rttMs(b)).toBe(20)
    network.disconnect(a, b)
    expect(near.rttMs(b)).toBeUndefined()
  })

  it('measures from when a member was greeted, not from when the heartbeat it was greeted with was made', async () => {
    const { near, b, clock, mute } = await createPair()
    mute()
    await clock.advance(4000)
    const greeting = near.greeting(b)
    if (greeting === undefined) throw new Error('there is nothing to greet with')
    await clock.advance(30)
    near.echoed(b, decodeHeartbeat(greeting))
    expect(near.rttMs(b)).toBe(30)
  })

  it('knows when a lease was last renewed, as long as its holder names it', async () => {
    const lab = createLab(2)
    lab.leases.push(LEASE)
    const { far, a, clock } = await createPair(lab)
    const start = clock.monoMs()
    expect([far.lastRenewedMonoMs(a, LEASE), far.lastRenewedMonoMs(a, 'f'.repeat(32))]).toEqual([start, undefined])
    await clock.advance(5000)
    expect(far.lastRenewedMonoMs(a, LEASE)).toBe(start + 5000)
    lab.leases.pop()
    await clock.advance(5000)
    expect(far.lastRenewedMonoMs(a, LEASE)).toBeUndefined()
  })

  it('refuses heartbeats of another mesh and forged ones, and takes repeated ones for no news', async () => {
    const { far, a, sent } = await createPair()
    const [beat] = sent
    if (beat === undefined) throw new Error('no heartbeat')
    const real = decodeHeartbeat(beat)
    const before = far.lastSeenWallMs(a)
    expect(far.receive(beat, a)).toBeUndefined()
    expect(() => far.receive(encodeCanonical({ ...real, counter: 50 }), a)).toThrow('signature')
    expect(() => far.receive(encodeCanonical({ ...real, mesh: 'c'.repeat(64) }), a)).toThrow('another mesh')
    expect(() => far.receive(new Uint8Array([1]), a)).toThrow(Error)
    expect([far.lastSeenWallMs(a), far.state(a)]).toEqual([before, 'online'])
  })

  it('counts its starts durably, so that a restarted node is news', async () => {
    const lab = createLab(2)
    const store = createMemoryStore()
    const boots: number[] = []
    for (let i = 0; i < 3; i++) {
      const presence = create(lab, 0, store)
      presence.onBeat((beat) => boots.push(decodeHeartbeat(beat).boot))
      await presence.start()
      presence.stop()
    }
    expect(boots).toEqual([1, 1, 2, 2, 3, 3])
  })

  it('keeps the signature valid over fields of later releases', async () => {
    const { far, a } = await createPair()
    const lab = createLab(2)
    const body = {
      v: 1 as const,
      mesh: MESH,
      peer: a,
      boot: 9,
      counter: 1,
      at: lab.clock.wallMs(),
      kind: 'beat' as const,
      leases: [],
      load: { sessions: 0 },
      mood: 'new',
    }
    expect(far.receive(signHeartbeat(crypto, identity(0), body), a)).toMatchObject({ peer: a, boot: 9, counter: 1 })
  })
})

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { Broadcast, PAUSE_ABOVE_BYTES } from '../../../node/hosts/broadcast.ts'
import { OutputRing, RING_BYTES } from '../../../node/hosts/output-ring.ts'
import { OUTPUT_BYTES_MAX, VIEWER_WINDOW_BYTES, type HostFrame } from '../../../protocols/session-stream.ts'

const SLOW_MS = 10_000

/** The byte that stands at a position, so that any mix-up of positions shows. */
const byteAt = (seq: number): number => (seq * 7 + (seq >>> 8)) & 255
const chunkAt = (seq: number, size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => byteAt(seq + i))

function createStage() {
  const ring = new OutputRing()
  let paused = false
  const broadcast = new Broadcast(ring, (value) => (paused = value))
  let nowMs = 0
  const attach = (fromSeq?: number) => {
    const frames: HostFrame[] = []
    let next = fromSeq
    const viewer = broadcast.attach(
      (frame) => {
        frames.push(frame)
        if (frame.type === 'gap') next = frame.to
        if (frame.type !== 'output') return
        if (next !== undefined && next !== frame.seq) throw new Error(`byte ${frame.seq} came instead of ${next}`)
        next = frame.seq + frame.bytes.byteLength
      },
      fromSeq,
      nowMs,
    )
    const sentTo = (): number => next ?? 0
    return {
      ...viewer,
      frames,
      sentTo,
      last: () => frames.at(-1),
      outputBytes: () => frames.reduce((sum, frame) => sum + (frame.type === 'output' ? frame.bytes.byteLength : 0), 0),
      gaps: () => frames.flatMap((frame) => (frame.type === 'gap' ? [[frame.from, frame.to]] : [])),
      acknowledgeAll: () => viewer.acknowledge(sentTo(), nowMs),
    }
  }
  return {
    ring,
    broadcast,
    attach,
    isPaused: () => paused,
    pass: (ms: number) => {
      nowMs += ms
      broadcast.cutSlow(nowMs, SLOW_MS)
    },
    /** What the program would write: nothing while it is paused. */
    produce: (bytes: number): number => {
      let made = 0
      while (made < bytes && !broadcast.paused) {
        const size = Math.min(4096, bytes - made)
        ring.append(new Uint8Array(size))
        broadcast.produced(nowMs)
        made += size
      }
      return made
    },
    finish: () => broadcast.finish({ exitCode: 0, signal: null }, nowMs),
  }
}

test('the ring gives back what it still has, at any place, for any sizes of chunks', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 100 }),
      fc.array(fc.integer({ min: 0, max: 250 }), { maxLength: 30 }),
      (capacity, sizes) => {
        const ring = new OutputRing(capacity)
        for (const size of sizes) ring.append(chunkAt(ring.head, size))
        expect(ring.head - ring.tail).toBe(Math.min(capacity, ring.head))
        for (let seq = ring.tail; seq <= ring.head; seq++)
          expect(ring.read(seq, 13)).toEqual(chunkAt(seq, Math.min(13, ring.head - seq)))
        expect(() => ring.read(ring.head + 1, 1)).toThrow(RangeError)
        expect(() => ring.read(ring.tail - 1, 1)).toThrow(RangeError)
      },
    ),
  )
})

test('a viewer never has more unacknowledged than its window, in frames of limited size', () => {
  const stage = createStage()
  const viewer = stage.attach()
  stage.produce(5_000_000)
  expect(viewer.outputBytes()).toBe(VIEWER_WINDOW_BYTES)
  const sizes = viewer.frames.map((frame) => (frame.type === 'output' ? frame.bytes.byteLength : 0))
  expect(Math.max(...sizes)).toBeLessThanOrEqual(OUTPUT_BYTES_MAX)
})

test('a single acknowledging viewer has no gap, however much is written', () => {
  const stage = createStage()
  const viewer = stage.attach()
  let made = 0
  while (made < 20_000_000) {
    made += stage.produce(3_000_000)
    expect(viewer.acknowledgeAll()).toBe(true)
  }
  while (viewer.sentTo() < stage.ring.head) viewer.acknowledgeAll()
  expect([viewer.gaps(), viewer.outputBytes()]).toEqual([[], made])
})

test('a viewer that acknowledges only now and then has no gap either', () => {
  const stage = createStage()
  const viewer = stage.attach()
  let made = 0
  let acknowledged = 0
  while (made < 10_000_000) {
    made += stage.produce(100_000)
    if (viewer.sentTo() - acknowledged < VIEWER_WINDOW_BYTES / 8) continue
    acknowledged = Math.floor(viewer.sentTo() / 1000) * 1000
    viewer.acknowledge(acknowledged, 0)
  }
  expect(viewer.gaps()).toEqual([])
})

test('the program is paused only while every viewer is far behind', () => {
  const stage = createStage()
  const stalled = stage.attach()
  const lively = stage.attach()
  let made = 0
  for (let i = 0; i < 100; i++) {
    made += stage.produce(400_000)
    lively.acknowledgeAll()
  }
  expect(made).toBe(40_000_000)
  expect(lively.gaps()).toEqual([])
  expect(stalled.outputBytes()).toBe(VIEWER_WINDOW_BYTES)

  lively.detach()
  expect(stage.isPaused()).toBe(true)
  stage.pass(SLOW_MS)
  expect([stalled.last(), stage.isPaused(), stage.broadcast.viewers]).toEqual([
    { type: 'end', reason: 'slow' },
    false,
    0,
  ])
})

test('a stalled viewer alone holds the program up at the limit, and only until it is cut off', () => {
  const stage = createStage()
  const viewer = stage.attach()
  const made = stage.produce(10_000_000)
  expect(made).toBeGreaterThan(PAUSE_ABOVE_BYTES)
  expect(made).toBeLessThan(PAUSE_ABOVE_BYTES + VIEWER_WINDOW_BYTES + 8192)
  stage.pass(SLOW_MS - 1)
  expect(viewer.last()?.type).toBe('output')
  stage.pass(1)
  expect(viewer.last()).toEqual({ type: 'end', reason: 'slow' })
  expect(stage.produce(10_000_000)).toBe(10_000_000)
})

test('any acknowledgement gives a slow viewer its time again, and one without waiting output has all the time', () => {
  const stage = createStage()
  const viewer = stage.attach()
  const idle = stage.attach()
  stage.produce(100_000)
  stage.pass(10 * SLOW_MS)
  expect(idle.last()?.type).toBe('output')
  stage.produce(600_000)
  for (let seq = 1; seq <= 5; seq++) {
    stage.pass(SLOW_MS - 1)
    expect(viewer.acknowledge(seq, (10 + seq) * SLOW_MS)).toBe(true)
  }
  expect(viewer.last()?.type).toBe('output')
})

test('a viewer that falls out of the ring is told the gap and goes on from the oldest byte', () => {
  const stage = createStage()
  const late = stage.attach()
  const lively = stage.attach()
  for (let i = 0; i < 20; i++) {
    stage.produce(300_000)
    lively.acknowledgeAll()
  }
  const { tail } = stage.ring
  expect(tail).toBe(6_000_000 - RING_BYTES)
  stage.produce(4096)
  expect(late.gaps()).toEqual([[VIEWER_WINDOW_BYTES, expect.any(Number)]])
  const [[, to]] = late.gaps() as [[number, number]]
  late.acknowledge(VIEWER_WINDOW_BYTES, 0)
  late.acknowledge(to, 0)
  while (late.sentTo() < stage.ring.head) if (!late.acknowledgeAll()) break
  expect(late.sentTo()).toBe(stage.ring.head)
  expect(late.outputBytes() + late.gaps().reduce((sum, [from = 0, end = 0]) => sum + end - from, 0)).toBe(
    stage.ring.head,
  )
})

test('a viewer that comes late starts at the oldest byte, with the gap before it when it asked for more', () => {
  const stage = createStage()
  stage.produce(RING_BYTES + 1000)
  expect(stage.attach().frames[0]).toMatchObject({ type: 'output', seq: 1000 })
  expect(stage.attach(10).frames.slice(0, 2)).toMatchObject([{ type: 'gap', from: 10, to: 1000 }, { seq: 1000 }])
  expect(stage.attach(stage.ring.head).frames).toEqual([])
  expect(stage.isPaused()).toBe(false)
})

test('acknowledging what was never sent, or less than before, is not accepted', () => {
  const stage = createStage()
  const viewer = stage.attach()
  stage.produce(1000)
  expect([
    viewer.acknowledge(1001, 0),
    viewer.acknowledge(500, 0),
    viewer.acknowledge(499, 0),
    viewer.acknowledge(500, 0),
  ]).toEqual([false, true, false, true])
})

test('the exit comes after the last byte', () => {
  const stage = createStage()
  const viewer = stage.attach()
  stage.produce(700_000)
  stage.finish()
  expect([viewer.last()?.type, stage.broadcast.isDrained(Infinity, 1000)]).toEqual(['output', false])
  viewer.acknowledgeAll()
  expect([viewer.last(), viewer.outputBytes()]).toEqual([{ type: 'exit', exitCode: 0, signal: null }, 700_000])
  // Sent is not read: the host must not leave yet, or what is on its way is lost.
  expect([stage.broadcast.isDrained(0, 1000), stage.broadcast.isDrained(1000, 1000)]).toEqual([false, true])
  expect(stage.attach(699_999).frames.map((frame) => frame.type)).toEqual(['output', 'exit'])
})

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeCanonical, MalformedError } from '../../../protocols/codec.ts'
import {
  createFrameReader,
  decodeHostFrame,
  decodeViewerFrame,
  encodeHostFrame,
  encodeViewerFrame,
  INPUT_BYTES_MAX,
  lengthPrefixed,
  OUTPUT_BYTES_MAX,
  STREAM_FRAME_BYTES_MAX,
  type HostFrame,
  type ViewerFrame,
} from '../../../protocols/session-stream.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)
const hex = (data: Uint8Array): string => Buffer.from(data).toString('hex')

const viewerFrames: ViewerFrame[] = [
  { type: 'attach' },
  { type: 'attach', fromSeq: 7 },
  { type: 'ack', seq: Number.MAX_SAFE_INTEGER },
  { type: 'input', id: 3, bytes: bytes(1, 2) },
  { type: 'input', id: 0, bytes: new Uint8Array(INPUT_BYTES_MAX) },
  { type: 'resize', id: 4, size: { cols: 20, rows: 200 } },
  { type: 'watch' },
  { type: 'flush', id: 1 },
  { type: 'kill', id: 2 },
  { type: 'quit', id: 0xffff_ffff },
]
const state = {
  status: 'exited',
  size: { cols: 120, rows: 40 },
  startedAtMs: 1,
  endedAtMs: null,
  exitCode: 1,
  signal: 'SIGKILL',
  killed: true,
  problem: null,
  waiting: false,
  usage: { inputTokens: 5, outputTokens: 2, costUsd: 0.25 },
} as const
const hostFrames: HostFrame[] = [
  { type: 'output', seq: 2 ** 40, bytes: bytes(0, 255) },
  { type: 'output', seq: 0, bytes: new Uint8Array(OUTPUT_BYTES_MAX) },
  { type: 'gap', from: 1, to: 2 },
  { type: 'exit', exitCode: 0, signal: null },
  { type: 'state', state },
  { type: 'reply', id: 9, problem: 'busy' },
  { type: 'end', reason: 'slow' },
]

test('every frame comes back as it was sent, and fits a frame', () => {
  expect(viewerFrames.map((frame) => decodeViewerFrame(encodeViewerFrame(frame)))).toEqual(viewerFrames)
  expect(hostFrames.map((frame) => decodeHostFrame(encodeHostFrame(frame)))).toEqual(hostFrames)
  const sizes = [...viewerFrames.map(encodeViewerFrame), ...hostFrames.map(encodeHostFrame)].map((f) => f.byteLength)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(STREAM_FRAME_BYTES_MAX)
})

test('the frames that carry terminal bytes have these bytes on the wire', () => {
  expect([
    hex(encodeHostFrame({ type: 'output', seq: 258, bytes: bytes(0xaa) })),
    hex(encodeViewerFrame({ type: 'input', id: 1, bytes: bytes(0xbb) })),
    hex(encodeViewerFrame({ type: 'ack', seq: 5 })),
    hex(lengthPrefixed(encodeViewerFrame({ type: 'ack', seq: 5 }))),
    hex(encodeViewerFrame({ type: 'watch' })),
  ]).toEqual([
    '010000000000000102aa',
    '0200000001bb',
    '030000000000000005',
    '00000009030000000000000005',
    `00${hex(encodeCanonical({ type: 'watch' }))}`,
  ])
})

test.each([
  ['nothing', bytes()],
  ['an unknown kind', bytes(77, 1, 2)],
  ['a short acknowledgement', bytes(3, 0)],
  ['an acknowledgement beyond every stream', bytes(3, 255, 255, 255, 255, 255, 255, 255, 255)],
  ['input without an id', bytes(2, 0)],
  ['input that is too long', encodeViewerFrame({ type: 'input', id: 0, bytes: new Uint8Array(INPUT_BYTES_MAX + 1) })],
  ['output', encodeHostFrame({ type: 'output', seq: 0, bytes: bytes(1) })],
  [
    'a size that no terminal has',
    bytes(0, ...encodeCanonical({ type: 'resize', id: 1, size: { cols: 19, rows: 40 } })),
  ],
  ['an unknown word', bytes(0, ...encodeCanonical({ type: 'explode' }))],
  ['a known word with more', bytes(0, ...encodeCanonical({ type: 'watch', extra: 1 }))],
])('a viewer that says %s is malformed', (_, frame) => {
  expect(() => decodeViewerFrame(frame)).toThrow(MalformedError)
})

test('whatever the bytes, decoding fails as malformed or gives a frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (data) => {
      for (const decode of [decodeViewerFrame, decodeHostFrame])
        expect(failureOf(() => decode(data)) ?? new MalformedError('')).toBeInstanceOf(MalformedError)
    }),
  )
})

test('frames are found again however the connection cuts them', () => {
  const frames = viewerFrames.map(encodeViewerFrame)
  const stream = Buffer.concat(frames.map((frame) => lengthPrefixed(frame)))
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 200 }), (cuts) => {
      const read = createFrameReader()
      const found: string[] = []
      let at = 0
      for (const cut of [...cuts, stream.byteLength]) {
        for (const frame of read(stream.subarray(at, at + cut))) found.push(hex(frame))
        at += cut
        if (at >= stream.byteLength) break
      }
      expect(found).toEqual(frames.map((frame) => hex(frame)))
    }),
    { numRuns: 30 },
  )
})

test('a frame that is announced as too large is refused before it is gathered', () => {
  const read = createFrameReader()
  expect(() => read(bytes(0x7f, 0, 0, 0, 1))).toThrow('frame too large')
})

function failureOf(work: () => unknown): unknown {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}

import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { streamTerminal, type TerminalMessage } from '../../../gateway/ws/terminal-stream.ts'
import { incompleteTail } from '../../../gateway/ws/utf8.ts'
import type { SessionOutput } from '../../../node/services/sessions/session-service.ts'
import { settle } from '../../support/clock.ts'

/** Feeds chunks to the stream as if they came from a terminal, and records what a subscriber gets. */
async function stream(
  items: readonly SessionOutput[],
  send: (message: TerminalMessage) => Promise<boolean> = async () => true,
): Promise<{ messages: TerminalMessage[]; acknowledged: number[] }> {
  const messages: TerminalMessage[] = []
  const acknowledged: number[] = []
  async function* output(): AsyncGenerator<SessionOutput> {
    yield* items
  }
  await streamTerminal({ output: output(), acknowledge: (seq) => acknowledged.push(seq) }, async (message) => {
    messages.push(message)
    return await send(message)
  })
  return { messages, acknowledged }
}

const chunksOf = (bytes: Uint8Array, sizes: readonly number[]): SessionOutput[] => {
  const items: SessionOutput[] = []
  let at = 0
  for (const size of [...sizes, bytes.length]) {
    const part = bytes.slice(at, at + size)
    if (part.length > 0) items.push({ type: 'output', seq: at, bytes: part })
    at += part.length
  }
  return items
}

it('never splits a character, loses a byte or miscounts one, however output is cut', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', maxLength: 60 }), sizes, async (text, cuts) => {
      const bytes = new TextEncoder().encode(text)
      const exit = { type: 'exit', exitCode: 0, signal: null } as const
      const { messages, acknowledged } = await stream([...chunksOf(bytes, cuts), exit])
      const output = messages.flatMap((message) => (message.name === 'session:output' ? [message.data] : []))
      expect(output.map(({ data }) => data).join('')).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes))
      for (const { data, seq, end } of output) {
        expect(end - seq).toBe(Buffer.byteLength(data))
        expect(bytes.slice(seq, end)).toEqual(new TextEncoder().encode(data))
      }
      expect(acknowledged.at(-1) ?? 0).toBe(bytes.length)
      expect(messages.at(-1)).toEqual({ name: 'session:terminated', data: { exit_code: 0, signal: null } })
    }),
  )
})

it('acknowledges a chunk only once it has left', async () => {
  let left = (_isOpen: boolean): void => undefined
  const acknowledged: number[] = []
  async function* output(): AsyncGenerator<SessionOutput> {
    yield { type: 'output', seq: 0, bytes: new TextEncoder().encode('abc') }
  }
  const done = streamTerminal(
    { output: output(), acknowledge: (seq) => acknowledged.push(seq) },
    () => new Promise((resolve) => (left = resolve)),
  )
  await settle()
  expect(acknowledged).toEqual([])
  left(true)
  await done
  expect(acknowledged).toEqual([3])
})

it('stops reading when the subscriber is gone, and acknowledges nothing more', async () => {
  const bytes = new TextEncoder().encode('abcdef')
  const { messages, acknowledged } = await stream(chunksOf(bytes, [3]), async () => false)
  expect([messages.length, acknowledged]).toEqual([1, []])
})

it('tells of a gap after what was held back before it', async () => {
  const euro = new TextEncoder().encode('€')
  const { messages } = await stream([
    { type: 'output', seq: 0, bytes: euro.slice(0, 2) },
    { type: 'gap', from: 2, to: 100 },
    { type: 'output', seq: 100, bytes: euro },
    { type: 'end', reason: 'offline' },
  ])
  expect(messages).toEqual([
    { name: 'session:output', data: { data: '\ufffd', seq: 0, end: 2 } },
    { name: 'session:gap', data: { from: 2, to: 100 } },
    { name: 'session:output', data: { data: '€', seq: 100, end: 103 } },
    { name: 'session:detached', data: { reason: 'offline' } },
  ])
})

it.each([
  ['nothing', [], 0],
  ['ASCII', [0x61], 0],
  ['two of three bytes', [0x61, 0xe2, 0x82], 2],
  ['three of four bytes', [0xf0, 0x9f, 0x90], 3],
  ['a whole character', [0xe2, 0x82, 0xac], 0],
  ['continuations that continue nothing', [0x80, 0x80, 0x80, 0x80], 0],
  ['a byte that starts nothing', [0xff], 0],
  ['an overlong lead', [0xc0], 0],
])('holds back %s', (_name, bytes, held) => {
  expect(incompleteTail(Uint8Array.from(bytes))).toBe(held)
})

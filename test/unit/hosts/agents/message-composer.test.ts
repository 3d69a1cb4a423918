import { expect, it } from 'vitest'
import { createMessageComposer } from '../../../../node/hosts/agents/message-composer.ts'

const compose = (...typed: (string | Uint8Array)[]): unknown => {
  const composer = createMessageComposer()
  const composed = typed.map((bytes) => composer.take(typeof bytes === 'string' ? Buffer.from(bytes) : bytes))
  return composed.map((messages) => messages?.map((message) => JSON.parse(Buffer.from(message).toString())))
}
const message = (text: string) => ({ type: 'user', message: { role: 'user', content: [{ type: 'text', text }] } })

it('makes a message of each line that is typed, once Enter is pressed', () => {
  expect(compose('go o', 'n\r', 'two\nthree\n\r\n')).toEqual([
    [],
    [message('go on')],
    [message('two'), message('three')],
  ])
})

it('leaves a message that is one already', () => {
  const interrupt = { type: 'control_request', request: { subtype: 'interrupt' } }
  expect(compose(`${JSON.stringify(interrupt)}\n`, '{"no":"type"}\n', '[1]\n')).toEqual([
    [interrupt],
    [message('{"no":"type"}')],
    [message('[1]')],
  ])
})

it('keeps a character whole that comes in two parts', () => {
  const [first, second] = [Buffer.from('ü').subarray(0, 1), Buffer.from('ü').subarray(1)]
  expect(compose(first, second, '\n')).toEqual([[], [], [message('ü')]])
})

it('refuses a line without an end, and goes on', () => {
  const composer = createMessageComposer()
  expect(composer.take(Buffer.alloc(100_000, 'x'))).toEqual([])
  expect(composer.take(Buffer.alloc(100_000, 'x'))).toBe(undefined)
  expect(composer.take(Buffer.from('\n'))).toHaveLength(1)
})

import { Socket } from 'node:net'
import type { MultiaddrConnection } from '@libp2p/interface'
import { expect, it } from 'vitest'
import { coalesceWrites } from '../../../node/p2p/coalesce-writes.ts'

it('writes what is written within one tick at once, and keeps the order', async () => {
  const socket = new Socket()
  const calls: string[] = []
  socket._writev = (chunks, done) => {
    calls.push(chunks.map(({ chunk }) => String(chunk)).join(''))
    done()
  }
  socket._write = (chunk, _encoding, done) => {
    calls.push(String(chunk))
    done()
  }
  coalesceWrites({ socket } as unknown as MultiaddrConnection)
  for (const part of ['a', 'b']) socket.write(part)
  await Promise.resolve().then(() => socket.write('c'))
  await new Promise((resolve) => setImmediate(resolve))
  socket.write('d')
  await new Promise((resolve) => setImmediate(resolve))
  expect(calls).toEqual(['abc', 'd'])
  socket.destroy()
})

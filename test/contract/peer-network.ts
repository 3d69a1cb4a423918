import { afterEach, describe, expect, it } from 'vitest'
import type { PeerId } from '../../crdt/ids.ts'
import type { Channel, PeerNetwork, ProtocolOptions } from '../../node/ports/peer-network.ts'

/** Two connected nodes, `b` refusing whatever asks for the capability `admin`. */
export type Pair = {
  readonly a: PeerNetwork
  readonly b: PeerNetwork
  /** Call after the protocols are registered; resolves when the two are connected. */
  start(): Promise<void>
  disconnect(): Promise<void>
  stop(): Promise<void>
}

const options: ProtocolOptions = { policy: { who: 'member' }, frameBytesMax: 1024 * 1024, channelsPerPeerMax: 2 }
const soon = (): AbortSignal => AbortSignal.timeout(10_000)
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)
const frame = (words: string): Uint8Array => new TextEncoder().encode(words)

async function echo(channel: Channel): Promise<void> {
  for await (const received of channel.frames) await channel.send(received)
}

async function all(channel: Channel): Promise<string[]> {
  const frames: string[] = []
  for await (const received of channel.frames) frames.push(text(received))
  return frames
}

/** What every implementation of the peer network has to do. */
export function describePeerNetwork(name: string, createPair: () => Promise<Pair>): void {
  describe(`peer network (${name})`, () => {
    let pair: Pair | undefined
    const start = async (register: (b: PeerNetwork, a: PeerNetwork) => void): Promise<Pair> => {
      pair = await createPair()
      register(pair.b, pair.a)
      await pair.start()
      return pair
    }
    afterEach(async () => {
      await pair?.stop()
      pair = undefined
    })

    it('carries frames both ways, in order and unchanged, empty ones too', async () => {
      const { a, b } = await start((served) => served.handle('/t/1', options, echo))
      const channel = await a.open(b.self, '/t/1', soon())
      const reader = channel.frames[Symbol.asyncIterator]()
      const sent = [frame('one'), new Uint8Array(0), new Uint8Array(300_000).fill(7), frame('four')]
      void Promise.all(sent.map((part) => channel.send(part)))
      const received: Uint8Array[] = []
      for (let i = 0; i < sent.length; i++) received.push((await reader.next()).value)
      expect(received).toEqual(sent)
      expect(channel.peer).toBe(b.self)
    })

    it('ends the frames of both sides when one closes, after everything sent has arrived', async () => {
      const got = Promise.withResolvers<{ peer: PeerId; frames: string[] }>()
      const { a, b } = await start((served) =>
        served.handle('/t/1', options, async (channel) =>
          got.resolve({ peer: channel.peer, frames: await all(channel) }),
        ),
      )
      const channel = await a.open(b.self, '/t/1', soon())
      void channel.send(frame('first'))
      void channel.send(frame('last'))
      await channel.close()
      await expect(got.promise).resolves.toEqual({ peer: a.self, frames: ['first', 'last'] })
      await expect(all(channel)).resolves.toEqual([])
      await expect(channel.send(frame('late'))).rejects.toThrow(Error)
    })

    it('closes the channel when its handler returns', async () => {
      const { a, b } = await start((served) => served.handle('/t/1', options, (channel) => channel.send(frame('bye'))))
      await expect(all(await a.open(b.self, '/t/1', soon()))).resolves.toEqual(['bye'])
    })

    it('aborts both sides when one aborts or its handler throws', async () => {
      const { a, b } = await start((served) =>
        served.handle('/t/1', options, async () => {
          throw new Error('broken')
        }),
      )
      // It may be too late already when `open` would resolve.
      await expect(a.open(b.self, '/t/1', soon()).then(all)).rejects.toThrow(Error)
    })

    it('aborts a channel on a frame above the limit', async () => {
      const outcome = Promise.withResolvers<unknown>()
      const { a, b } = await start((served) =>
        served.handle('/t/1', { ...options, frameBytesMax: 1000 }, async (channel) =>
          outcome.resolve(await all(channel).catch((error: unknown) => error)),
        ),
      )
      const channel = await a.open(b.self, '/t/1', soon())
      await channel.send(new Uint8Array(1001)).catch(() => undefined)
      await expect(outcome.promise).resolves.toBeInstanceOf(Error)
      await expect(all(channel)).rejects.toThrow(Error)
    })

    it('[A-M3] rejects opening what nobody serves or the policy forbids, without calling the handler', async () => {
      const called: string[] = []
      const { a, b } = await start((served) =>
        served.handle('/t/admin', { ...options, policy: { who: 'member', capability: 'admin' } }, async () => {
          called.push('admin')
        }),
      )
      await expect(a.open(b.self, '/t/none', soon())).rejects.toThrow(Error)
      await expect(a.open(b.self, '/t/admin', soon())).rejects.toThrow(Error)
      expect(called).toEqual([])
    })

    it('refuses one channel more than the protocol allows per peer', async () => {
      const { a, b } = await start((served) => served.handle('/t/1', options, echo))
      const first = await a.open(b.self, '/t/1', soon())
      await a.open(b.self, '/t/1', soon())
      await expect(a.open(b.self, '/t/1', soon())).rejects.toThrow(Error)
      await first.close()
      await expect.poll(() => a.open(b.self, '/t/1', soon()).then(Boolean, () => false)).toBe(true)
    })

    it('[A-D1] counts a channel until its handler is done with what came over it', async () => {
      const go = Promise.withResolvers<void>()
      const got: string[] = []
      const { a, b } = await start((served) =>
        served.handle('/t/1', options, async (channel) => {
          await go.promise
          got.push(...(await all(channel)))
        }),
      )
      for (const words of ['one', 'two']) {
        const channel = await a.open(b.self, '/t/1', soon())
        void channel.send(frame(words))
        await channel.close()
      }
      await expect(a.open(b.self, '/t/1', soon())).rejects.toThrow(Error)
      go.resolve()
      await expect.poll(() => got.toSorted()).toEqual(['one', 'two'])
      await expect.poll(() => a.open(b.self, '/t/1', soon()).then(Boolean, () => false)).toBe(true)
    })

    it('refuses a second handler, and one without a policy', async () => {
      const { b } = await start((served) => served.handle('/t/1', options, echo))
      expect(() => b.handle('/t/1', options, echo)).toThrow('already served')
      expect(() => b.handle('/t/2', { ...options, policy: undefined as never }, echo)).toThrow('policy')
    })

    it('makes the sender wait for a slow reader', async () => {
      const go = Promise.withResolvers<void>()
      const count = Promise.withResolvers<number>()
      const { a, b } = await start((served) =>
        served.handle('/t/1', options, async (channel) => {
          await go.promise
          count.resolve((await all(channel)).length)
        }),
      )
      const channel = await a.open(b.self, '/t/1', soon())
      let sent = 0
      const sending = (async () => {
        for (; sent < 200; sent++) await channel.send(new Uint8Array(64 * 1024))
        await channel.close()
      })()
      await expect.poll(() => sent).toBeGreaterThan(2)
      await new Promise((resolve) => setTimeout(resolve, 100)) // real time in which nothing more may be taken
      const taken = sent
      expect(taken).toBeLessThan(100)
      go.resolve()
      await sending
      await expect(count.promise).resolves.toBe(200)
    })

    it('tells of members that connect and disconnect, and aborts the channels', async () => {
      const events: string[] = []
      const { a, b, ...rest } = await start((served, near) => {
        served.handle('/t/1', options, echo)
        near.onConnect((peer) => events.push(`connect ${peer}`))
        near.onDisconnect((peer) => events.push(`disconnect ${peer}`))
      })
      expect(a.connected()).toEqual([b.self])
      const channel = await a.open(b.self, '/t/1', soon())
      const reading = all(channel)
      reading.catch(() => undefined) // looked at below
      await rest.disconnect()
      await expect(reading).rejects.toThrow(Error)
      await expect.poll(() => a.connected()).toEqual([])
      expect(events).toEqual([`connect ${b.self}`, `disconnect ${b.self}`])
    })

    it('gives up opening when the signal says so', async () => {
      const { a, b } = await start((served) => served.handle('/t/1', options, echo))
      await expect(a.open(b.self, '/t/1', AbortSignal.abort(new Error('stop')))).rejects.toThrow(Error)
    })
  })
}

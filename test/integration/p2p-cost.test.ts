import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import type { Libp2pNetwork } from '../../node/p2p/libp2p-network.ts'
import type { Channel } from '../../node/ports/peer-network.ts'
import { createTestNode, peerOf, soon, until } from '../support/libp2p-nodes.ts'

const ECHO = '/t/echo'
const SINK = '/t/sink'
const options = { policy: { who: 'member' }, frameBytesMax: 64 * 1024, channelsPerPeerMax: 2 } as const
const MESSAGES = 200
/** Of a window update: a header of yamux, its authentication tag and its length. */
const UPDATE_BYTES = 12 + 16 + 2

const running: Libp2pNetwork[] = []
const relays: Server[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((node) => node.stop()))
  for (const relay of relays.splice(0)) relay.close()
})

/** Two real nodes, and how many bytes the second has sent to the first so far. */
async function startPair(
  serve: (channel: Channel) => Promise<void>,
  protocol: string,
): Promise<{ channel: Channel; answered: () => number }> {
  const members = new Set([peerOf(1), peerOf(2)])
  const [client, server] = [await createTestNode(1, members), await createTestNode(2, members)]
  running.push(client, server)
  server.handle(protocol, options, serve)
  await Promise.all([client.start(), server.start()])
  const port = Number(/tcp\/(\d+)/.exec(server.addresses()[0] ?? '')?.[1])
  let bytes = 0
  const relay = createServer((inbound) => {
    const outbound = connect(port, '127.0.0.1')
    inbound.pipe(outbound).on('data', (chunk: Buffer) => (bytes += chunk.byteLength))
    outbound.pipe(inbound)
    for (const socket of [inbound, outbound]) socket.on('error', () => socket.destroy())
  }).listen(0, '127.0.0.1')
  relays.push(relay)
  await once(relay, 'listening')
  const address = `/ip4/127.0.0.1/tcp/${(relay.address() as AddressInfo).port}/p2p/${server.self}`
  await client.dialAddresses(server.self, [address], soon())
  return { channel: await client.open(server.self, protocol, soon()), answered: () => bytes }
}

it('a message that needs no answer causes none', async () => {
  let read = 0
  const { channel, answered } = await startPair(async ({ frames }) => {
    for await (const _ of frames) read += 1
  }, SINK)
  const before = answered()
  for (let sent = 1; sent <= MESSAGES; sent++) {
    await channel.send(new Uint8Array(100))
    await until(() => read === sent)
  }
  // Something else may be said meanwhile, but not after every message.
  expect(answered() - before).toBeLessThan((MESSAGES * UPDATE_BYTES) / 4)
})

it('a stream that is longer than its window goes on', async () => {
  let read = 0
  const { channel } = await startPair(async ({ frames }) => {
    for await (const frame of frames) read += frame.byteLength
  }, SINK)
  for (let sent = 0; sent < MESSAGES; sent++) await channel.send(new Uint8Array(options.frameBytesMax))
  await until(() => read === MESSAGES * options.frameBytesMax)
})

it('a message costs no exception', async () => {
  const { channel } = await startPair(async (echo) => {
    for await (const frame of echo.frames) await echo.send(frame)
  }, ECHO)
  const answers = channel.frames[Symbol.asyncIterator]()
  let exceptions = 0
  const original = globalThis.RangeError
  globalThis.RangeError = new Proxy(original, {
    apply(target, self, args) {
      exceptions += 1
      return Reflect.apply(target, self, args) as RangeError
    },
  })
  try {
    for (let sent = 0; sent < MESSAGES; sent++) {
      await channel.send(Uint8Array.of(1))
      await answers.next()
    }
  } finally {
    globalThis.RangeError = original
  }
  expect(exceptions).toBe(0)
})

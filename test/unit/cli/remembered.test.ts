import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { PeerId } from '../../../crdt/ids.ts'
import { ADDRESSES_FACT, freeListenAddresses, rememberedAddresses } from '../../../node/cli/remembered.ts'
import { createRecordedLog } from '../../support/log.ts'

describe('the port a node is known by', () => {
  const server = createServer()
  afterEach(() => void server.close())

  async function occupied(host: string): Promise<number> {
    server.listen(0, host)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }

  it('is kept while it is free, on every address whose port is left to us', async () => {
    const log = createRecordedLog()
    const port = await occupied('127.0.0.1')
    server.close()
    await once(server, 'close')
    expect(await freeListenAddresses([], port, log)).toEqual([`/ip4/0.0.0.0/tcp/${port}`, `/ip6/::/tcp/${port}`])
    expect(log.lines).toEqual([])
  })

  it.each(['127.0.0.1', '0.0.0.0'])('is given up with a warning when another process has it on %s', async (host) => {
    const log = createRecordedLog()
    const port = await occupied(host)
    expect(await freeListenAddresses([], port, log)).toEqual(['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/0'])
    expect(log.lines.map(({ level, fields }) => ({ level, fields }))).toEqual([{ level: 'warn', fields: { port } }])
  })

  it('is left alone where the configuration names the port', async () => {
    const log = createRecordedLog()
    const port = await occupied('127.0.0.1')
    const configured = [`/ip4/127.0.0.1/tcp/${port}`]
    expect(await freeListenAddresses(configured, port, log)).toEqual(configured)
    expect(log.lines).toEqual([])
  })
})

describe('the addresses of members', () => {
  function create(stored?: Uint8Array) {
    const facts = new Map(stored && [[ADDRESSES_FACT, stored]])
    const log = createRecordedLog()
    const getFact = async (name: string): Promise<Uint8Array | undefined> => facts.get(name)
    const putFact = async (name: string, value: Uint8Array): Promise<void> => void facts.set(name, value)
    return { log, addresses: rememberedAddresses({ getFact, putFact }, log) }
  }

  it('are read again at the next start, though the book is full', async () => {
    const longest = Array.from({ length: 12 }, (_, n) => `/dns4/${'h'.repeat(240)}/tcp/${n + 10_000}`.slice(0, 256))
    const peers = Array.from({ length: 4096 }, (_, n) => `12D3KooW${(n + 11_111).toString().padStart(44, '1')}`)
    const full = new Map(peers.map((peer) => [PeerId.parse(peer.replaceAll('0', 'z')), longest] as const))
    const { log, addresses } = create()
    await addresses.save(full)
    expect(await addresses.load()).toEqual(full)
    expect(log.lines).toEqual([])
  })

  it('are done without when they cannot be read, and the log says so', async () => {
    const { log, addresses } = create(new Uint8Array([0xff]))
    expect(await addresses.load()).toEqual(new Map())
    expect(log.lines.map(({ level }) => level)).toEqual(['warn'])
  })
})

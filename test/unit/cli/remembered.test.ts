import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { freeListenAddresses } from '../../../node/cli/remembered.ts'
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

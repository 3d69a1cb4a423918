import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { createEgress } from '../../../node/adapters/egress.ts'
import type { McpReach } from '../../../node/ports/mcp-connector.ts'

/** What is said against an address; undefined when it was asked. */
async function refusal(url: string, reach: McpReach): Promise<string | undefined> {
  const egress = createEgress(reach)
  try {
    await egress.fetch(url)
    return undefined
  } catch (error) {
    const told = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return told instanceof Error ? `${told.name}: ${told.message}` : String(told)
  } finally {
    await egress.close()
  }
}

it.each([
  'http://169.254.169.254/latest/meta-data',
  'https://169.254.169.254/',
  'https://[::ffff:169.254.169.254]/',
  'https://[fe80::1]/',
  'https://[fd00:ec2::254]/',
  'http://2852039166/',
  'http://0xa9fea9fe/',
  'http://0251.0376.0251.0376/',
  'https://100.100.100.200/',
  'https://0.0.0.0/',
  'https://224.0.0.1/',
  'https://[64:ff9b::a9fe:a9fe]/',
])('[A-E1] never asks %s, wherever its server was defined', async (url) => {
  for (const reach of ['local', 'public'] as const) expect(await refusal(url, reach)).toContain('EgressRefusedError')
})

it.each([
  'http://127.0.0.1:9/',
  'https://127.0.0.1:9/',
  'https://[::1]:9/',
  'https://10.0.0.1/',
  'https://localhost:65000/',
  'http://2130706433/',
])('[A-E1] asks %s only for a server that was defined on the machine', async (url) => {
  expect(await refusal(url, 'public')).toContain('EgressRefusedError')
})

it('asks nobody elsewhere in the clear', async () => {
  for (const reach of ['local', 'public'] as const)
    expect(await refusal('http://example.com/', reach)).toContain('must be asked over https')
})

it('asks this machine in the clear for a server that was defined on it, and follows no redirect', async () => {
  const hits: string[] = []
  const server = createServer((request, response) => {
    hits.push(request.url ?? '')
    if (request.url === '/moved') response.writeHead(302, { location: '/' })
    response.end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  expect(await refusal(`http://127.0.0.1:${port}/`, 'local')).toBeUndefined()
  expect(await refusal(`http://localhost:${port}/`, 'local')).toBeUndefined()
  expect(await refusal(`http://127.0.0.1:${port}/moved`, 'local')).toContain('redirect')
  expect(hits).toEqual(['/', '/', '/moved'])
  server.close()
})

import { lookup as resolve, type LookupAddress, type LookupOptions } from 'node:dns'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Agent, fetch as send } from 'undici'
import type { McpReach } from '../ports/mcp-connector.ts'

/** This address is not asked; the message says why. */
export class EgressRefusedError extends Error {
  override readonly name = 'EgressRefusedError'
}

const CONNECT_MS = 10_000

export type Egress = {
  /** As `fetch`, but for redirects, which fail, and for addresses that are refused (see below). */
  readonly fetch: typeof fetch
  close(): Promise<void>
}

/**
 * Asks servers elsewhere. Over TLS, at addresses of the internet, whatever a name resolves to at the moment of the
 * connection. With reach `local` also, in the clear, this machine and private networks; only where the address itself says
 * so, by number or by a name that no public server gives out, so that a name cannot be moved there afterwards.
 * Link-local addresses, where clouds keep credentials, are never asked.
 */
export function createEgress(reach: McpReach): Egress {
  const agent = new Agent({
    connect: { timeout: CONNECT_MS, lookup: (host, options, done) => lookUp(reach, host, { options, done }) },
    // A tool may work for minutes before it answers; whoever calls it sets the limit.
    headersTimeout: 0,
    bodyTimeout: 0,
  })
  const guarded = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : input)
    checkUrl(url, reach)
    const options = { ...init, redirect: 'error', dispatcher: agent }
    // One implementation of one standard, under two names.
    return await send(url, options as Parameters<typeof send>[1])
  }
  return { fetch: guarded, close: async () => await agent.destroy() }
}

/** @throws EgressRefusedError */
function checkUrl(url: URL, reach: McpReach): void {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // A number is not looked up, so it has to be checked here.
  if (isIP(host) !== 0) checkAddress(host, host, reach)
  const near = reach === 'local' && isNear(host)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && near))
    throw new EgressRefusedError(`${url.host} must be asked over https${LOCAL_HINT[reach]}`)
}

const LOCAL_HINT: Readonly<Record<McpReach, string>> = {
  local: ' (http is for this machine and its own network).',
  public: ' (http is for servers on the machine itself, defined on that machine).',
}

/** Says of itself that it is of this machine or its network. */
function isNear(host: string): boolean {
  if (isIP(host) !== 0) return NEAR.has(rangeOf(host))
  return !host.includes('.') || /\.(local|localhost|lan|internal|home\.arpa)$/i.test(host)
}

const NEAR: ReadonlySet<string> = new Set(['loopback', 'private', 'uniqueLocal'])
/** Clouds keep credentials at these, too. */
const METADATA: ReadonlySet<string> = new Set(['fd00:ec2::254', '100.100.100.200', '192.0.0.192', '168.63.129.16'])

/** An IPv4 address in the clothes of an IPv6 one is what it is. */
const plain = (address: string): string => ipaddr.process(address.split('%')[0] ?? '').toString()
const rangeOf = (address: string): string => ipaddr.process(address.split('%')[0] ?? '').range()

/** @throws EgressRefusedError */
function checkAddress(address: string, host: string, reach: McpReach): void {
  const range = rangeOf(address)
  const where = address === host ? address : `${host} (${address})`
  if (METADATA.has(plain(address)))
    throw new EgressRefusedError(`${where} is never asked: clouds keep credentials there.`)
  if (range === 'unicast') return
  if (!NEAR.has(range)) throw new EgressRefusedError(`${where} is no address of the internet (${range}).`)
  if (reach === 'public')
    throw new EgressRefusedError(
      `${where} is on the machine or its network: only a server defined on that machine may be there.`,
    )
  if (!isNear(host))
    throw new EgressRefusedError(
      `${where} is on this machine or its network, and its name does not say so: use the address itself.`,
    )
}

type Done = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void

/** The connection is made to what was checked: nothing is looked up again. */
function lookUp(reach: McpReach, host: string, { options, done }: { options: LookupOptions; done: Done }): void {
  resolve(host, { ...options, all: true }, (error, addresses) => {
    if (error) return done(error, [])
    try {
      for (const { address } of addresses) checkAddress(address, host, reach)
    } catch (refused) {
      return done(refused as Error, [])
    }
    const [first] = addresses
    if (options.all === true || first === undefined) return done(null, addresses)
    return done(null, first.address, first.family)
  })
}

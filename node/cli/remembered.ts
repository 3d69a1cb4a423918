import { once } from 'node:events'
import { createServer } from 'node:net'
import { z } from 'zod'
import { PeerId } from '../../crdt/ids.ts'
import { decodeCanonical, encodeCanonical } from '../../protocols/codec.ts'
import { ADDRESS_BOOK_BYTES_MAX, type KnownAddresses } from '../p2p/address-book.ts'
import type { FeedStore } from '../ports/feed-store.ts'
import type { Log } from '../ports/log.ts'
import { BOOT_FACT } from '../services/sync/presence-beat.ts'

type Facts = Pick<FeedStore, 'getFact' | 'putFact'>

const FACT_BYTES_MAX = 1024 * 1024
const Addresses = z.record(PeerId, z.array(z.string().max(300)).max(64))
const Port = z.int().min(1).max(65535)

export const ADDRESSES_FACT = 'addresses'

export const encodeAddresses = (addresses: ReadonlyMap<PeerId, readonly string[]>): Uint8Array =>
  encodeCanonical(Object.fromEntries(addresses))

/** Where members were reached, kept over restarts. What cannot be read is done without: it is hints, no more. */
export function rememberedAddresses(facts: Facts, log: Log): KnownAddresses {
  return {
    async load() {
      const bytes = await facts.getFact(ADDRESSES_FACT)
      if (bytes === undefined) return new Map()
      try {
        const parsed = decodeCanonical(Addresses, bytes, ADDRESS_BOOK_BYTES_MAX)
        return new Map(Object.entries(parsed).map(([peer, addresses]) => [PeerId.parse(peer), addresses]))
      } catch (error) {
        log.warn({ error: String(error) }, 'the remembered addresses of members cannot be read: starting without them')
        return new Map()
      }
    },
    save: (addresses) => facts.putFact(ADDRESSES_FACT, encodeAddresses(addresses)),
  }
}

/** Counts the starts of this node, durably, from 1. */
export async function nextBoot(facts: Facts): Promise<number> {
  const bytes = await facts.getFact('boot')
  const boot = (bytes === undefined ? 0 : decodeCanonical(z.int().min(0), bytes, FACT_BYTES_MAX)) + 1
  await facts.putFact('boot', encodeCanonical(boot))
  return boot
}

/**
 * Seconds from here on stay for decades within what is derived from the number of a start. No clock that is right is
 * before.
 */
export const BOOTS_SINCE_MS = Date.UTC(2026, 0, 1)

/** More starts than a node has between a backup and its restoration, should the clock be wrong. */
const STARTS_MAX = 100_000

/**
 * Starts are counted from now on above every one that the node can have had since the store was copied. It is not started
 * once a second in the long run, so the seconds since the first release are ahead of any count of starts. A later
 * restoration counts from further on, as long as the clock is not before `BOOTS_SINCE_MS`.
 */
export async function raiseBoots(facts: Facts, nowMs: number): Promise<void> {
  for (const name of ['boot', BOOT_FACT]) {
    const bytes = await facts.getFact(name)
    const boot = bytes === undefined ? 0 : decodeCanonical(z.int().min(0), bytes, FACT_BYTES_MAX)
    const seconds = Math.floor((nowMs - BOOTS_SINCE_MS) / 1000)
    await facts.putFact(name, encodeCanonical(Math.max(boot + STARTS_MAX, seconds)))
  }
}

/** The port other members know us by; a free one is taken once and kept. */
export async function rememberedPort(facts: Facts): Promise<number | undefined> {
  const bytes = await facts.getFact('p2p-port')
  return bytes === undefined ? undefined : decodeCanonical(Port, bytes, FACT_BYTES_MAX)
}

export async function rememberPort(facts: Facts, addresses: readonly string[]): Promise<void> {
  const port = addresses.flatMap((address) => /\/tcp\/([0-9]+)/.exec(address)?.[1] ?? []).map(Number)[0]
  if (port !== undefined && port !== (await rememberedPort(facts)))
    await facts.putFact('p2p-port', encodeCanonical(port))
}

/** All addresses of the host, on the remembered port where the configuration leaves the choice to us. */
export function listenAddresses(configured: readonly string[], port: number | undefined): string[] {
  const wanted = configured.length > 0 ? configured : ['/ip4/0.0.0.0/tcp/0', '/ip6/::/tcp/0']
  return wanted.map((address) => address.replace(/\/tcp\/0(?=\/|$)/, `/tcp/${port ?? 0}`))
}

/** As `listenAddresses`, but on a free port when another process has taken the remembered one meanwhile. */
export async function freeListenAddresses(
  configured: readonly string[],
  port: number | undefined,
  log: Log,
): Promise<string[]> {
  const isUsed =
    port !== undefined && listenAddresses(configured, port).join() !== listenAddresses(configured, undefined).join()
  if (isUsed && (await isTaken(port))) {
    log.warn({ port }, 'the port that other members know this node by is in use: taking a free one and telling them')
    return listenAddresses(configured, undefined)
  }
  return listenAddresses(configured, port)
}

/** On any address: whoever has it on loopback only would be in the way of some of ours. */
async function isTaken(port: number): Promise<boolean> {
  for (const host of ['0.0.0.0', '::', '127.0.0.1']) {
    const server = createServer()
    try {
      server.listen({ port, host, ipv6Only: true })
      await once(server, 'listening')
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return true
    } finally {
      server.close()
    }
  }
  return false
}

import { spawn, type ChildProcess } from 'node:child_process'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { peerOf } from '../support/libp2p-nodes.ts'
import { createWorld, until, type World } from './hosts.ts'
import type { Host } from './lab.ts'

const NODE = resolve(import.meta.dirname, 'lan-node.ts')
const TAG = '_rookery-0123456789abcdef._udp.local'
/** Two rounds of asking. */
const FOUND_WITHIN_MS = 20_000

describe('multicast on a host', () => {
  let world: World
  const started: ChildProcess[] = []
  beforeEach(async () => {
    world = await createWorld()
  })
  afterEach(async () => {
    for (const child of started.splice(0)) child.kill('SIGKILL')
    await world.dispose()
  })

  /** The peers that the node on this host has found so far. */
  const look = (host: Host, n: number, tag = TAG): ReadonlySet<string> => {
    const line = [...host.within, process.execPath, NODE, tag, peerOf(n)]
    const child = spawn(line[0]!, line.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
    started.push(child)
    const found = new Set<string>()
    createInterface({ input: child.stdout }).on('line', (peer) => found.add(peer))
    return found
  }

  const all = async (sets: readonly ReadonlySet<string>[], size: number): Promise<void> => {
    await until(() => sets.every((set) => set.size === size), 'all have found each other', FOUND_WITHIN_MS)
  }

  it('needs no way out: a LAN may be all there is', async () => {
    const lan = world.lab.segment('lan')
    const [a, b] = [world.lab.host('a', lan), world.lab.host('b', lan)]
    for (const host of [a, b]) host.exec('ip', 'route', 'delete', 'default')
    await all([look(a, 1), look(b, 2)], 1)
  })

  it('goes to every LAN, wherever the way out leads', async () => {
    const [lan, vpn] = [world.lab.segment('lan'), world.lab.segment('vpn')]
    const both = world.lab.router('both', [lan, vpn])
    const [a, b] = [world.lab.host('a', lan), world.lab.host('b', vpn)]
    const atBoth = { within: ['ip', 'netns', 'exec', both.name] } as unknown as Host
    const [found, ...others] = [look(atBoth, 3), look(a, 1), look(b, 2)] as const
    await all([found], 2)
    // Multicast does not cross a router: each of them knows the one between them only.
    await all(others, 1)
    expect(others.map((one) => [...one])).toEqual([[peerOf(3)], [peerOf(3)]])
  })

  it('is heard again after a host has moved, and does not mix meshes', async () => {
    const [lan, cafe] = [world.lab.segment('lan'), world.lab.segment('cafe')]
    const [a, b, c] = [world.lab.host('a', lan), world.lab.host('b', cafe), world.lab.host('c', cafe)]
    const [onA, onB, stranger] = [look(a, 1), look(b, 2), look(c, 3, TAG.replace('0', 'f'))]
    a.moveTo(cafe, 50)
    await all([onA, onB], 1)
    expect([[...onA], [...onB], [...stranger]]).toEqual([[peerOf(2)], [peerOf(1)], []])
  })
})

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, expect, it } from 'vitest'
import { systemClock } from '../../node/adapters/system-clock.ts'
import { systemRandom } from '../../node/adapters/system-random.ts'
import { createPresence } from '../../node/services/sync/presence-service.ts'
import { createSync } from '../../node/services/sync/sync-service.ts'
import { descriptors } from '../support/processes.ts'
import { crypto, identity } from '../support/identity.ts'
import { createTestNode, soon, until } from '../support/libp2p-nodes.ts'
import { createMembership, createTestReplica, MESH, PROJECT, setKey } from '../support/replicas.ts'
import { createRecordLog } from '../support/sync-lab.ts'

const IS_LONG = process.env.ROOKERY_LONG === '1'
const RECONNECTS = 10_000
/** What one reconnection may leave behind: less than a map entry or a listener that is kept. */
const LEFT_BYTES_MAX = 300
/** Compiled code, caches and pools have their size by then. */
const WARM_UP = RECONNECTS / 5

const stops: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

async function startNode(n: number) {
  const membership = createMembership(2)
  const { documents, store } = await createTestReplica(n, membership)
  // A log that is kept would itself grow with every connection.
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
  const network = await createTestNode(n, new Set(), {
    mesh: MESH,
    log,
    isMember: (peer) => membership.members.has(peer),
  })
  const shared = { network, clock: systemClock, log }
  const members = (): typeof membership.members => membership.members
  const signer = identity(n)
  const presence = createPresence({
    ...shared,
    mesh: MESH,
    crypto,
    signer,
    store,
    members,
    leases: () => [],
    sessions: () => 0,
  })
  const records = createRecordLog()
  const sync = createSync({
    ...shared,
    feeds: documents,
    membership: records,
    random: systemRandom,
    presence,
    passesOn: () => false,
    addresses: network,
  })
  await network.start()
  sync.start()
  await presence.start()
  stops.push(async () => {
    presence.stop()
    await sync.stop()
    await network.stop()
    await documents.close()
  })
  return { peer: signer.peer, network, sync, documents }
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Deadlines hold what they guard until they have passed: 10 s for opening a channel, 15 s for a stranger. */
const HELD_MS = 16_000

/** Once no deadline holds anything any more. Twice: what finalizers let go of is collected in the second round. */
async function heapBytes(): Promise<number> {
  const heldUntil = performance.now() + HELD_MS
  await until(() => performance.now() > heldUntil, 2 * HELD_MS)
  for (let round = 0; round < 2; round++) {
    collectGarbage()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

it.runIf(IS_LONG)(
  `[D12] leaves nothing behind when two members lose each other and meet again, ${RECONNECTS} times`,
  async () => {
    const [a, b] = [await startNode(0), await startNode(1)]
    await a.documents.write(PROJECT, undefined, setKey('k', 1))
    const isUp = (): boolean =>
      a.sync.lag.members().has(b.peer) && b.sync.lag.members().has(a.peer) && b.documents.list().includes(PROJECT)
    const isDown = (): boolean => a.network.connected().length === 0 && b.network.connected().length === 0
    const meet = async (): Promise<void> => {
      await a.network.dialAddresses(b.peer, b.network.addresses(), soon())
      // Both have told each other where they stand: everything that is kept per peer is there.
      await until(isUp, 30_000)
    }
    const part = async (): Promise<void> => {
      a.network.closePeer(b.peer)
      b.network.closePeer(a.peer)
      await until(isDown, 30_000)
    }
    let [heapBefore, openBefore] = [0, 0]
    for (let round = 0; round < RECONNECTS; round++) {
      if (round === WARM_UP) [heapBefore, openBefore] = [await heapBytes(), descriptors(process.pid)]
      await meet()
      await part()
    }
    const perReconnect = ((await heapBytes()) - heapBefore) / (RECONNECTS - WARM_UP)
    expect(perReconnect).toBeLessThan(LEFT_BYTES_MAX)
    expect(descriptors(process.pid)).toBeLessThanOrEqual(openBefore + 2)
    expect([a.network.channelCount, a.sync.outboxes().size, b.sync.lag.members().size]).toEqual([0, 0, 0])
  },
  3_600_000,
)

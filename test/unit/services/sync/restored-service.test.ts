import { expect, it } from 'vitest'
import { meshDoc, type PeerId } from '../../../../crdt/ids.ts'
import { createRestoredService } from '../../../../node/services/sync/restored-service.ts'
import type { Testimony } from '../../../../node/services/feeds/restoration.ts'
import { signHeartbeat } from '../../../../protocols/presence.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'
import { createMemoryNetwork } from '../../../support/memory-network.ts'
import { MESH } from '../../../support/replicas.ts'

const [self, teller] = [identity(0).peer, identity(1).peer]
const hash = new Uint8Array(32).fill(3)

/** A heartbeat in the name of the restored node, signed by whoever. */
const beatOf = (boot: number, signer = identity(0)): Uint8Array =>
  signHeartbeat(
    crypto,
    { peer: self, sign: (message) => signer.sign(message) },
    {
      v: 1,
      mesh: MESH,
      peer: self,
      boot,
      counter: 1,
      at: 1,
      kind: 'beat',
      leases: [],
      load: { sessions: 0 },
    },
  )

/** A node that waits (start number 7), and a member that has heard these heartbeats of it. */
async function lab(beats: readonly Uint8Array[]) {
  const network = createMemoryNetwork()
  const clock = createManualClock()
  const forgotten: PeerId[] = []
  const heard: Testimony[] = []
  const shared = { mesh: MESH, crypto, clock, log: createRecordedLog(), members: () => [self, teller] }
  const serve = (peer: PeerId, awaited: readonly PeerId[], lately: readonly Uint8Array[]) =>
    createRestoredService({
      ...shared,
      self: peer,
      network: network.join(peer),
      presence: { boot: () => 7, lately: () => lately },
      documents: {
        forgetWaiting: (author) => void forgotten.push(author),
        headsOf: (author) => new Map(author === self ? [[meshDoc, { seq: 5, hash }]] : []),
        restoration: {
          view: () => ({ cause: 'backup', isCopied: false, since: 1, asOf: 1, awaited, seenBy: [] }),
          heard: async (_peer, testimony) => void heard.push(testimony),
          refusal: () => undefined,
          goOnWithout: async () => undefined,
          gotOwn: async () => undefined,
          look: async () => undefined,
          onEnd: () => () => undefined,
        },
      },
    })
  const node = serve(self, [teller], [])
  serve(teller, [], beats).start()
  node.start()
  network.connect(self, teller)
  for (let i = 0; i < 5; i++) await settle()
  return { heard, forgotten, clock, node }
}

it('[M14] a node that waits asks members what they have of it, and they forget what of it waits for others', async () => {
  const { heard, forgotten, clock, node } = await lab([])
  const testimony = { heads: new Map([[meshDoc, { seq: 5, hash }]]), members: [self, teller], isElsewhere: false }
  expect(heard).toEqual([testimony])
  expect(forgotten).toEqual([self])
  await clock.advance(5000)
  expect(heard).toEqual([testimony, testimony])
  node.stop()
  await clock.advance(20_000)
  expect(heard.length).toBe(2)
})

it.each([
  ['of its own start', beatOf(7), false],
  ['of another start', beatOf(3), true],
  ['of a later start', beatOf(9), true],
  ['that somebody else signed', beatOf(3, identity(1)), false],
  ['that is none', new Uint8Array([1, 2, 3]), false],
])('[M14] a heartbeat %s says whether a copy of it runs', async (_, beat, isElsewhere) => {
  const { heard } = await lab([beat])
  expect(heard.map((testimony) => testimony.isElsewhere)).toEqual([isElsewhere])
})

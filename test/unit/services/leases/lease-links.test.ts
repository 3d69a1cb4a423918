import { describe, expect, it } from 'vitest'
import { Signatures } from '../../../../protocols/lease/signing.ts'
import { createFrameWriter } from '../../../../node/services/leases/lease-frames.ts'
import { createLeaseLinks } from '../../../../node/services/leases/lease-links.ts'
import type { LeaseVoter } from '../../../../node/services/leases/lease-voter.ts'
import type { Channel, PeerNetwork } from '../../../../node/ports/peer-network.ts'
import { createManualClock, settle } from '../../../support/clock.ts'
import { crypto, identity } from '../../../support/identity.ts'
import { createRecordedLog } from '../../../support/log.ts'

const self = identity(1).peer
const other = identity(2).peer
const clock = createManualClock()

const channelTo = (send: (frame: Uint8Array) => Promise<void>): Channel =>
  ({ peer: other, send, abort: () => undefined, frames: (async function* () {})() }) as unknown as Channel

describe('what a node has to say', () => {
  it('in the course of one event leaves in one frame', async () => {
    const frames: Uint8Array[] = []
    const write = createFrameWriter(
      channelTo(async (frame) => void frames.push(frame)),
      clock,
    )
    write(Uint8Array.of(1))
    for (let hops = 0; hops < 20; hops++) await Promise.resolve()
    write(Uint8Array.of(2))
    await settle()
    write(Uint8Array.of(3))
    await settle()
    expect(frames).toHaveLength(2)
  })

  it('is on its way to the other voters before its own is at work', async () => {
    const order: string[] = []
    const never = new Promise<IteratorResult<Uint8Array>>(() => undefined)
    const channel = {
      send: async () => void order.push('sent'),
      abort: () => undefined,
      frames: { [Symbol.asyncIterator]: () => ({ next: () => never }) },
    } as unknown as Channel
    const links = createLeaseLinks({
      network: { self, open: async () => channel } as unknown as PeerNetwork,
      signatures: new Signatures({ crypto, signer: identity(1) }),
      clock,
      log: createRecordedLog(),
      local: { submit: () => order.push('asked here') } as unknown as LeaseVoter,
      openTimeoutMs: 1000,
      onMessage: () => undefined,
    })
    links.send([other], { t: 'ask', m: {} })
    await settle()
    order.length = 0
    links.send([self, other], { t: 'ask', m: {} })
    await settle()
    expect(order).toEqual(['sent', 'asked here'])
  })
})

import { expect, it } from 'vitest'
import { Conduct } from '../../../node/p2p/conduct.ts'
import { createManualClock } from '../../support/clock.ts'
import { peerOf } from '../../support/libp2p-nodes.ts'

function createLab() {
  const clock = createManualClock()
  const complaints: string[] = []
  return { clock, complaints, conduct: new Conduct(clock, (peer, what) => complaints.push(`${peer} ${what}`)) }
}

it('[A-D1] refuses a peer that opens channel after channel, and nobody else', async () => {
  const { clock, conduct, complaints } = createLab()
  const opened = Array.from({ length: 600 }, () => conduct.mayOpen(peerOf(1))).filter(Boolean).length
  expect([opened, conduct.mayOpen(peerOf(2)), new Set(complaints)]).toEqual([
    512,
    true,
    new Set([`${peerOf(1)} opens too many channels`]),
  ])
  await clock.advance(1000)
  expect(Array.from({ length: 20 }, () => conduct.mayOpen(peerOf(1))).filter(Boolean).length).toBe(8)
})

it('[A-D1] refuses a peer that breaks protocols again and again, until it has been quiet', async () => {
  const { clock, conduct, complaints } = createLab()
  for (let i = 0; i < 16; i++) {
    expect(conduct.mayOpen(peerOf(1))).toBe(true)
    conduct.failed(peerOf(1), '/rookery/sync/1')
  }
  expect([conduct.mayOpen(peerOf(1)), complaints.at(-1)]).toEqual([
    false,
    `${peerOf(1)} sends what breaks the rules of a protocol`,
  ])
  expect(complaints[0]).toBe(`${peerOf(1)} breaks the rules of /rookery/sync/1`)
  await clock.advance(5000)
  expect(conduct.mayOpen(peerOf(1))).toBe(true)
})

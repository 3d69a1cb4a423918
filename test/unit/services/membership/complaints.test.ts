import { expect, it } from 'vitest'
import { createComplaints } from '../../../../node/services/membership/complaints.ts'
import { createManualClock } from '../../../support/clock.ts'
import { peerOf } from '../../../support/libp2p-nodes.ts'

const MINUTE = 60_000

it('[A-D1] shows a member from the third complaint on, with how often and in how long', async () => {
  const clock = createManualClock()
  const complaints = createComplaints(clock)
  for (let i = 0; i < 2; i++) complaints.complain(peerOf(1), 'shouts')
  expect(complaints.of(peerOf(1))).toBeUndefined()
  await clock.advance(3 * MINUTE)
  complaints.complain(peerOf(1), 'screams')
  expect([complaints.of(peerOf(1)), complaints.of(peerOf(2))]).toEqual(['screams (3 complaints in 3 min)', undefined])
})

it('[A-D1] forgets after ten quiet minutes', async () => {
  const clock = createManualClock()
  const complaints = createComplaints(clock)
  for (let i = 0; i < 3; i++) complaints.complain(peerOf(1), 'shouts')
  await clock.advance(10 * MINUTE)
  expect(complaints.of(peerOf(1))).toBeDefined()
  await clock.advance(1)
  expect(complaints.of(peerOf(1))).toBeUndefined()
  complaints.complain(peerOf(1), 'shouts')
  expect(complaints.of(peerOf(1))).toBeUndefined()
})

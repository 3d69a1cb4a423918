import { expect, it } from 'vitest'
import { acquireLease, type Acquisition } from '../../../../node/services/leases/lease-acquire.ts'
import type { Refused } from '../../../../protocols/lease/claimant.ts'
import { DEFAULT_TIMINGS } from '../../../../protocols/lease/timings.ts'
import { createManualClock } from '../../../support/clock.ts'
import { createSeededRandom } from '../../../support/identity.ts'

it('[L2.5] a voter that is never content with the token is humoured twice, then outvoted', async () => {
  const hasty: boolean[] = []
  const stale = { why: 'stale' } as Refused
  const lease = { leaseId: 'a' } as never
  const context: Acquisition = {
    clock: createManualClock(),
    random: createSeededRandom(1),
    timings: DEFAULT_TIMINGS,
    quorum: () => 2,
    closing: new AbortController().signal,
    // Two honest voters would grant: an attempt that waits for them is certified.
    async attempt(_limitMs, isHasty) {
      if (hasty.push(isHasty) > 10) throw new Error('still hasty')
      return isHasty ? { is: 'refused', denies: [stale], silent: [] } : { is: 'certified', lease }
    },
    pause: async () => undefined,
    pauseUntilFree: async () => undefined,
    missingAuthor: async () => undefined,
    giveBack: () => undefined,
    isValid: () => true,
  }
  expect((await acquireLease(context, 0)).ok).toBe(true)
  expect(hasty).toEqual([true, true, false])
})

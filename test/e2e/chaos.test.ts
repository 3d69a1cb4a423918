import { expect, it } from 'vitest'
import { runChaos } from '../chaos/run.ts'
import { IS_LONG } from '../support/long.ts'

/** A deadline only guards against a hang: after faults, members look for each other with longer and longer pauses. */
const WITHIN_MS = 600_000

it.runIf(IS_LONG)(
  '[I1][I2][I6] has one holder at a time on three real nodes that are killed, stalled, filled and cut off',
  async () => {
    const options = { nodes: 3, ops: 250, minutes: 5, seed: 20, keep: false } as const
    const report = await runChaos(options, () => undefined)
    expect({ found: report.found, violations: report.violations, kept: report.kept }).toEqual({
      found: [],
      violations: 0,
      kept: null,
    })
    // A run in which nothing was won, or nothing went wrong, would prove nothing.
    expect(report.total).toBeGreaterThanOrEqual(250)
    expect(report.certified).toBeGreaterThan(30)
    expect(report.operations.lock?.refused).toBeGreaterThan(0)
    // Only root may mount a disk small enough to be filled.
    expect(report.skipped.filter((kind) => kind !== 'disk_full')).toEqual([])
  },
  WITHIN_MS,
)

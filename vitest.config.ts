import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './test/support/closing-line-reporter.ts'
import { LongestFirst } from './test/support/longest-first.ts'

export default defineConfig({
  test: {
    include: ['test/{unit,contract,conformance,integration,e2e,sim,compat}/**/*.test.ts'],
    // A deadline here only guards against a hang.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Real nodes, terminals and a browser share the two cores that the suite is made for, and wait for each other now and
    // then: a third worker fills in.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new ClosingLineReporter()],
  },
})

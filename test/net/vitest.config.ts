import { resolve } from 'node:path'
import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from '../support/closing-line-reporter.ts'

/** The scenarios of `npm run test:net`, inside the enclosure that `main.ts` makes. */
export default defineConfig({
  test: {
    root: resolve(import.meta.dirname, '../..'),
    include: ['test/net/*.test.ts'],
    // One laboratory at a time: its hosts would take the processors from another's.
    fileParallelism: false,
    // A deadline here only guards against a hang; what has a goal is measured.
    testTimeout: 300_000,
    hookTimeout: 300_000,
    // What is measured is printed as it is, in the order in which it was.
    disableConsoleIntercept: true,
    reporters: ['default', new ClosingLineReporter()],
  },
})

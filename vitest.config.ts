import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { ClosingLineReporter } from './test/support/closing-line-reporter.ts'
import { LongestFirst } from './test/support/longest-first.ts'

export default defineConfig({
  test: {
    // A deadline here only guards against a hang.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Real nodes, terminals and a browser share the two cores that the suite is made for, and wait for each other now and
    // then: further workers fill in.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    reporters: ['default', new ClosingLineReporter()],
    // Test files are loaded by Node itself, as the program is.
    experimental: { viteModuleRunner: false, nodeLoader: false },
    // Hundreds of processes load the same modules: nodes and commands too, whatever their home.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/rookery') },
    projects: [
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/{conformance,integration,e2e,sim,compat}/**/*.test.ts'],
        },
      },
      {
        extends: true,
        // They share nothing but modules, which are loaded once per worker.
        test: { name: 'pure', include: ['test/{unit,contract}/**/*.test.ts'], isolate: false },
      },
    ],
  },
})

import { once } from 'node:events'
import { resolve } from 'node:path'
import { Command } from 'commander'
import { enclose, installTools, obstacle } from './enclosure.ts'

const program = new Command('npm run test:net --')
  .description(
    'Runs several hosts, each a network namespace with a real node, and measures how the mesh gets over trouble.',
  )
  .argument('[scenarios...]', 'parts of the names of the files to run, like partition; default: all')
  .option('-t, --test <name>', 'only the tests whose names match')
  .option('--install', 'first install what is missing from Debian packages (iproute2, nftables), as root')
  .addHelpText(
    'after',
    `
Everything happens in namespaces of network, mounts and processes of its own, which are gone afterwards, also on Ctrl-C.
Where the kernel or the rights do not allow that, nothing runs, one line says why, and the exit code is 0.`,
  )
  .parse()

const { test, install } = program.opts<{ test?: string; install?: boolean }>()

const failed = install ? installTools() : undefined
const why = failed ?? obstacle()
if (why !== undefined) {
  process.stdout.write(`skipped: ${why}\n`)
  process.exit(failed === undefined ? 0 : 1)
}

const vitest = resolve(import.meta.dirname, '../../node_modules/vitest/vitest.mjs')
const config = resolve(import.meta.dirname, 'vitest.config.ts')
const chosen = [...program.args, ...(test === undefined ? [] : ['-t', test])]
const child = enclose([process.execPath, vitest, 'run', '--configLoader', 'native', '--config', config, ...chosen])
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    child.kill('SIGKILL')
    process.exitCode = 130
  })
const [code] = await once(child, 'close')
process.exitCode ??= code ?? 1

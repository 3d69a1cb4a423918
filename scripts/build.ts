import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

/**
 * Bundles the program into `dist/`, where `scripts/rookery` finds it. Node takes longer to find and link 1,300 modules than
 * to run them, and keeps 20 MB of them: a bundled node starts in two thirds of the time.
 * With `--optional` (as `npm ci` calls it) it does nothing where the bundler is not installed: the source runs as well.
 */

/** What brings files of its own along that it looks for beside itself, or is large and asked for rarely. */
const EXTERNAL = [/^@lydell\/node-pty/, 'classic-level', '@node-rs/argon2', '@fastify/swagger-ui', 'vectra']

const root = resolve(import.meta.dirname, '..')
const dist = join(root, 'dist')
const rolldown = await import('rolldown').catch((error: unknown) => {
  if (process.argv.includes('--optional')) return undefined
  throw error
})
if (rolldown !== undefined) {
  const bundle = await rolldown.rolldown({
    cwd: root,
    input: { main: 'node/cli/main.ts', 'session-host': 'node/hosts/session-host.ts' },
    platform: 'node',
    external: EXTERNAL,
    // Some packages' CommonJS files ask for others by a computed name.
    resolve: { mainFields: ['module', 'main'] },
    logLevel: 'warn',
  })
  const { output } = await bundle.write({
    dir: dist,
    cleanDir: true,
    chunkFileNames: '[name]-[hash].js',
  })
  cpSync(join(root, 'gateway/dashboard/page'), join(dist, 'page'), { recursive: true })
  writeFileSync(
    join(dist, 'LICENSES.txt'),
    licencesOf(output.flatMap((one) => (one.type === 'chunk' ? one.moduleIds : []))),
  )
}

/** The licences of all packages that went into the bundle. */
function licencesOf(modules: readonly string[]): string {
  const packages = new Set(modules.filter((id) => id.includes('node_modules')).map(packageOf))
  return [...packages]
    .toSorted()
    .map((directory) => {
      const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
      const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry))
      const text = file === undefined ? '' : readFileSync(join(directory, file), 'utf8').trim()
      return `${name} ${version} (${license})\n\n${text}\n`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}

/** The folder of the package that a module belongs to. */
function packageOf(module: string): string {
  let directory = dirname(module)
  // Packages have nested package.json files that only name a type.
  while (!existsSync(join(directory, 'package.json')) || !/node_modules\/(@[^/]+\/)?[^/]+$/.test(directory))
    directory = dirname(directory)
  return directory
}

import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createPinoLog } from '../../node/adapters/pino-log.ts'
import { Config } from '../../node/cli/config.ts'
import { localActor } from '../../node/cli/control-method.ts'
import { runNode } from '../../node/cli/run-node.ts'
import { rookeryVersion } from '../../node/cli/version.ts'
import { sampleTask } from '../bench/sample-task.ts'
import { sampleFrames } from './frames.ts'

/*
 * Records what this release says and stores, for every later one to read: `node test/compat/record.ts`, once per release,
 * before its tag. What is recorded is never changed afterwards.
 */

/** A snapshot is written when a document with at least a hundred envelopes is put away. */
const TASKS = 105

const place = join(import.meta.dirname, 'recorded', rookeryVersion())
const dataDir = await mkdtemp(join(tmpdir(), 'rookery-record-'))
try {
  await mkdir(place, { recursive: true })
  await fill()
  await writeFile(join(place, 'frames.json'), json(sampleFrames()))
  await writeFile(join(place, 'data-directory.json'), json(await filesOf(dataDir)))
} finally {
  await rm(dataDir, { recursive: true, force: true })
}
process.exit(0)

/** A mesh of one with a project, its tasks, and a claim. */
async function fill(): Promise<void> {
  const listen = ['/ip4/127.0.0.1/tcp/0']
  const config = Config.parse({ name: 'recorder', gateway: false, p2p: { listen, mdns: false } })
  const node = await runNode(dataDir, config, createPinoLog('error'))
  const { services, core } = node.mesh()
  const actor = localActor(core.self)
  const folder = join(dataDir, 'sessions')
  const project = await services.projects.create(actor, services.machines.self, { projectPath: folder, name: 'sample' })
  if (!project.ok) throw new Error(project.error.message)
  for (let i = 0; i < TASKS; i++) {
    const task = await services.tasks.create(actor, project.value.id, sampleTask(i))
    if (!task.ok) throw new Error(task.error.message)
    if (i > 0) continue
    const claimed = await services.tasks.claim(actor, task.value.id, 'recorder-1')
    if (!claimed.ok) throw new Error(claimed.error.message)
  }
  await node.stop()
}

async function filesOf(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  const wanted = paths.filter((path) => !/\/(LOCK|LOG|LOG\.old)$/.test(path)).toSorted((a, b) => (a < b ? -1 : 1))
  const files = await Promise.all(wanted.map(async (path) => [relative(folder, path), await readFile(path, 'base64')]))
  return Object.fromEntries(files)
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 1)}\n`
}

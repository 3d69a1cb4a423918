import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { MeshId } from '../../crdt/ids.ts'
import type { Result } from '../../crdt/result.ts'
import { DataDirectoryError, type DataDirectory } from '../adapters/data-directory.ts'
import { openLeaseJournal } from '../adapters/lease-journal.ts'
import { openLevelStore } from '../adapters/level-store.ts'
import { lockProcess, ProcessLockError } from '../adapters/process-lock.ts'
import { syncFolder } from '../adapters/sync-folder.ts'
import { systemClock } from '../adapters/system-clock.ts'
import { systemRandom } from '../adapters/system-random.ts'
import type { FeedStore } from '../ports/feed-store.ts'
import type { Log } from '../ports/log.ts'
import { prepareVoterJournal } from '../services/leases/lease-voter.ts'
import { adoptMesh, createMesh } from '../services/membership/membership-service.ts'
import type { Identity } from './identity.ts'

export const storeDir = (meshDir: string): string => join(meshDir, 'store')
export const contextDir = (meshDir: string): string => join(meshDir, 'context')
export const journalFile = (meshDir: string): string => join(meshDir, 'leases', 'journal')

/**
 * The mesh of this node, founded if it has none; what a crash, a join or a leave has left of others is swept away. Two
 * processes that start at once must not each found one, and sweep away the other's: the second is refused.
 * @throws DataDirectoryError
 */
export async function settleMesh(
  data: DataDirectory,
  identity: Identity,
  node: { name: string; log: Log },
): Promise<string> {
  const release = await lockProcess(join(data.path, 'mesh.lock')).catch((error: unknown) => {
    throw error instanceof ProcessLockError
      ? new DataDirectoryError(`Another node is just starting on ${data.path}. ${error.message}`, { cause: error })
      : error
  })
  try {
    if ((await data.currentMesh()) === undefined) await foundMesh(data, identity, node)
    await data.sweepMeshes()
    const mesh = await data.currentMesh()
    if (mesh === undefined) throw new Error('founding a mesh left none behind')
    return mesh
  } finally {
    await release()
  }
}

/**
 * Founds a mesh of which this node is the only member and voter, and makes it the current one. The folder gets its
 * final name and the pointer is switched only when everything in it is durable: a crash leaves nothing half-made.
 */
export async function foundMesh(
  data: DataDirectory,
  identity: Identity,
  node: { name: string; log: Log },
): Promise<void> {
  await installMesh(data, async (folder, store) => {
    await mkdir(join(folder, 'leases'), { mode: 0o700 })
    const journal = await openLeaseJournal(journalFile(folder), {
      log: node.log,
      onFailure: (cause) => {
        throw cause
      },
    })
    try {
      const voterInc = await prepareVoterJournal(journal, systemRandom)
      const founder = { name: node.name, boxKey: identity.box.publicKey, voterInc }
      return (await createMesh({ ...membershipDeps(store, identity, node.log), random: systemRandom }, founder)).mesh
    } finally {
      await journal.close()
    }
  })
}

/** Makes a mesh that admitted us the current one; the one before stays until `sweepMeshes`. */
export async function installJoinedMesh(
  data: DataDirectory,
  identity: Identity,
  joined: { mesh: MeshId; records: readonly Uint8Array[]; log: Log; addresses: FeedFacts },
): Promise<Result<MeshId>> {
  let outcome: Result<MeshId> | undefined
  await installMesh(data, async (_folder, store) => {
    const adopted = await adoptMesh(membershipDeps(store, identity, joined.log), joined.records, joined.mesh)
    outcome = adopted.ok ? { ok: true, value: joined.mesh } : adopted
    if (!adopted.ok) return undefined
    for (const [key, value] of joined.addresses) await store.putFact(key, value)
    return joined.mesh
  })
  if (!outcome) throw new Error('a mesh was installed without an outcome')
  return outcome
}

/** Facts to start the new store with (the addresses under which the inviter was reached). */
export type FeedFacts = ReadonlyMap<string, Uint8Array>

async function installMesh(
  data: DataDirectory,
  fill: (folder: string, store: FeedStore) => Promise<MeshId | undefined>,
): Promise<void> {
  const folder = data.meshDir(`new-${crypto.randomUUID()}`)
  await mkdir(folder, { mode: 0o700 })
  try {
    const mesh = await withStore(storeDir(folder), (store) => fill(folder, store))
    if (mesh === undefined) return
    const place = data.meshDir(mesh)
    await rm(place, { recursive: true, force: true })
    await syncFolder(folder)
    await rename(folder, place)
    await syncFolder(dirname(place))
    await data.setCurrentMesh(mesh)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function withStore<T>(dir: string, use: (store: FeedStore) => Promise<T>): Promise<T> {
  const store = await openLevelStore(dir)
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

function membershipDeps(store: FeedStore, { crypto, signer }: Identity, log: Log) {
  return { store, crypto, signer, clock: systemClock, log }
}
